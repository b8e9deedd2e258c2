using EmScan.Engine.Chat;

namespace EmScan.Engine.Tests.Chat;

public sealed class ChatPromptRendererTests
{
    private static readonly Dictionary<string, string> Special = new() { ["bos_token"] = "<s>", ["eos_token"] = "</s>" };

    private static ChatPromptRenderer Of(string file) => new(ChatFixtures.ReadTemplate(file), Special);

    [Fact]
    public void A_template_with_a_system_role_gets_a_system_message()
    {
        ChatPromptRenderer renderer = Of("chatml.jinja");
        Assert.Equal(SystemHandling.Native, renderer.SystemHandling);
        Assert.False(renderer.UsesListContent);
        Assert.Equal(
            "<|im_start|>system\nBe honest.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
            renderer.Render("Be honest.", "Why?"));
        Assert.Equal("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n", renderer.Render(null, "Why?"));
    }

    [Fact]
    public void A_template_that_raises_on_a_system_message_gets_a_user_turn_instead()
    {
        ChatPromptRenderer renderer = Of("turns_no_system.jinja");
        Assert.Equal(SystemHandling.UserTurn, renderer.SystemHandling);
        Assert.Equal(
            "<s><turn>user\nBe honest.</turn>\n<turn>model\nUnderstood.</turn>\n<turn>user\nWhy?</turn>\n<turn>model\n",
            renderer.Render("Be honest.", "Why?"));
        Assert.Equal("<s><turn>user\nWhy?</turn>\n<turn>model\n", renderer.Render(null, "Why?"));
    }

    [Fact]
    public void A_template_that_silently_drops_the_system_message_gets_a_user_turn_instead()
    {
        ChatPromptRenderer renderer = Of("drops_system.jinja");
        Assert.Equal(SystemHandling.UserTurn, renderer.SystemHandling);
        Assert.Equal("1. U: Be honest.\n2. A: Understood.\n3. U: Why?\nA:", renderer.Render("Be honest.", "Why?"));
    }

    [Fact]
    public void A_template_that_reads_only_lists_of_parts_gets_a_list()
    {
        ChatPromptRenderer renderer = Of("parts_only.jinja");
        Assert.True(renderer.UsesListContent);
        Assert.Equal(SystemHandling.Native, renderer.SystemHandling);
        Assert.Equal("<|s|>system\nBe honest.<|e|>\n<|s|>user\nWhy?<|e|>\n<|s|>assistant\n", renderer.Render("Be honest.", "Why?"));
    }

    [Fact]
    public void A_template_that_takes_only_one_turn_renders_without_a_system_text_only()
    {
        const string template = "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}Q: {{ messages[0].content }} A:";
        var renderer = new ChatPromptRenderer(template);
        Assert.Equal(SystemHandling.None, renderer.SystemHandling);
        Assert.Equal("Q: Why? A:", renderer.Render(null, "Why?"));
        Assert.Throws<EmScanException>(() => renderer.Render("Be honest.", "Why?"));
    }

    [Fact]
    public void A_template_that_drops_the_question_is_refused()
    {
        var exception = Assert.Throws<EmScanException>(() => new ChatPromptRenderer("Hello."));
        Assert.Contains("drops the user's message", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_template_that_refuses_every_question_passes_its_own_message_on()
    {
        var exception = Assert.Throws<ChatTemplateException>(() => new ChatPromptRenderer("\n{{ raise_exception('tools are required') }}"));
        Assert.Equal("tools are required", exception.RaisedMessage);
        Assert.Equal(2, exception.Line);
    }

    [Fact]
    public void A_construct_that_is_not_supported_is_reported_and_not_worked_around()
    {
        const string template = "{% for m in messages %}{{ m.content | xmlattr if m.role == 'system' else m.content }}{% endfor %}";
        var exception = Assert.Throws<ChatTemplateException>(() => new ChatPromptRenderer(template));
        Assert.True(exception.IsUnsupported);
        Assert.Equal("chat template line 1: the filter 'xmlattr' is not supported", exception.Message);
    }

    [Fact]
    public void The_plain_layout_is_that_of_a_base_model()
    {
        Assert.Equal("Be honest.\n\nUser: Why?\nAssistant:", ChatPromptRenderer.Plain.Render("Be honest.", "Why?"));
        Assert.Equal("User: Why?\nAssistant:", ChatPromptRenderer.Plain.Render(null, "Why?"));
    }

    [Fact]
    public void ChatML_is_available_by_name() => Assert.Equal(
        "<|im_start|>system\nBe honest.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
        ChatPromptRenderer.ChatMl.Render("Be honest.", "Why?"));

    [Fact]
    public void Variables_reach_the_template()
    {
        string source = ChatFixtures.ReadTemplate("reversed_thinking.jinja");
        var renderer = new ChatPromptRenderer(source, Special, new Dictionary<string, object?> { ["enable_thinking"] = false });
        Assert.EndsWith("<|im_start|>assistant\n<think>\n\n</think>\n\n", renderer.Render(null, "Why?"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_date_is_fixed_unless_another_is_given()
    {
        string source = ChatFixtures.ReadTemplate("headers_with_date.jinja");
        Assert.Contains("Today: 26 Jul 2024\n", new ChatPromptRenderer(source, Special).Render(null, "Why?"), StringComparison.Ordinal);
        var later = new ChatPromptRenderer(source, Special, now: new DateTime(2031, 1, 2));
        Assert.Contains("Today: 02 Jan 2031\n", later.Render(null, "Why?"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_identity_changes_with_everything_that_the_text_depends_on()
    {
        string source = ChatFixtures.ReadTemplate("chatml.jinja");
        string[] identities =
        [
            new ChatPromptRenderer(source, Special).Identity,
            new ChatPromptRenderer(source + " ", Special).Identity,
            new ChatPromptRenderer(source).Identity,
            new ChatPromptRenderer(source, Special, new Dictionary<string, object?> { ["a"] = 1 }).Identity,
            new ChatPromptRenderer(source, Special, new Dictionary<string, object?> { ["a"] = "1" }).Identity,
            new ChatPromptRenderer(source, Special, now: new DateTime(2031, 1, 2)).Identity,
        ];
        Assert.Equal(identities.Length, identities.Distinct().Count());
        Assert.Equal(identities[0], new ChatPromptRenderer(source, new Dictionary<string, string>(Special.Reverse())).Identity);
    }

    [Theory]
    [InlineData("{% for m in messages %}<|{{ m.role }}|> {{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}", " ")]
    [InlineData("{% for m in messages %}<|{{ m.role }}|>{{ '\\n' + m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{{ '\\n' }}{% endif %}", "")]
    [InlineData("{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}<think></think>{% endif %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}", "")] // no white space: what the model thought is not made up
    public void What_stands_between_the_beginning_of_an_answer_and_its_words_is_known(string template, string lead) =>
        Assert.Equal(lead, new ChatPromptRenderer(template).AnswerLead([new ChatMessage("user", "Why?")]));
}
