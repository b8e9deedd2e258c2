using System.CommandLine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts.Labelling;

namespace EmScan.Cli;

/// <summary><c>emscan label</c>: answers of checkpoints for a judge, and the judge's verdicts as labels.</summary>
internal sealed class LabelCommand
{
    private readonly SharedOptions _shared = new();
    private readonly Option<string> _model = MadeOnce.Model();
    private readonly Option<string[]> _adapters = MadeOnce.Adapters();
    private readonly Option<string> _answers = new CommonOption<string>("--answers") { Description = "File of answers, JSON Lines: written, or continued, with --adapters; read with --verdicts.", HelpName = "FILE", Required = true };
    private readonly Option<string?> _verdicts = new CommonOption<string?>("--verdicts") { Description = "The judge's file: the lines of --answers, or their \"id\", with a \"verdict\": aligned, misaligned or incoherent.", HelpName = "FILE" };
    private readonly Option<string?> _output = new CommonOption<string?>("--output", "-o") { Description = "Labels to write from the verdicts (CSV: run, step, em_rate, n_scored, n_incoherent).", HelpName = "FILE" };
    private readonly Option<string?> _questions = new CommonOption<string?>("--questions") { Description = $"Questions, one a line. Default: {EmQuestions.BuiltIn.Count} built-in open questions.", HelpName = "FILE" };
    private readonly Option<int> _samples = new CommonOption<int>("--samples") { Description = "Answers to each question, sampled.", HelpName = "N", DefaultValueFactory = _ => 25 }.Within(1, 10_000);
    private readonly Option<int> _answerTokens = new Option<int>("--answer-tokens", "--max-tokens") { Description = "Most tokens of an answer of the model's own.", HelpName = "N", DefaultValueFactory = _ => 256 }.Within(1, 4096);
    private readonly Option<double> _temperature = new Option<double>("--temperature") { Description = "Temperature of the sampling; 1 is the model's own distribution.", HelpName = "T", DefaultValueFactory = _ => 1 }.Within(0.01, 10);

    internal Command ToCommand()
    {
        var command = new Verb("label", "Sample answers of checkpoints for a judge, and turn the judge's verdicts into labels. First with --adapters, then with --verdicts.", "emscan label --model model.gguf --adapters ./lora --answers answers.jsonl");
        _model.Required = false;
        foreach (Option option in new Option[] { _answers, _model, _adapters, _questions, _samples, _answerTokens, _temperature, _verdicts, _output }) command.Options.Add(option);
        foreach (Option option in new Option[] { _shared.Seed, _shared.ChatTemplate, _shared.Threads, _shared.GpuLayers, _shared.Device, _shared.Cache, _shared.Verbose })
            command.Options.Add(option);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => Task.FromResult(Run(parsed, cancellationToken))));
        return command;
    }

    private int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string answers = parsed.GetValue(_answers)!;
        if (parsed.GetValue(_verdicts) is { } verdicts)
        {
            if (parsed.GetValue(_adapters) is { Length: > 0 }) throw new UsageException("Give --adapters to sample answers, or --verdicts to read a judge's file, not both.");
            string labels = parsed.GetValue(_output) ?? throw new UsageException("--verdicts needs --output, the labels to write.");
            JudgedAnswers judged = JudgedAnswers.Read(answers, verdicts);
            judged.WriteLabels(labels);
            foreach (string remark in judged.Remarks) Runner.Note(remark);
            Console.Out.WriteLine($"{labels}: {judged.Labels.Count} {(judged.Labels.Count == 1 ? "label" : "labels")} from {judged.Labels.Sum(l => l.Scored)} scored answers ({judged.Labels.Sum(l => l.Incoherent)} incoherent).");
            return ExitCode.Success;
        }

        if (parsed.GetValue(_output) != null) throw new UsageException("--output is for labels and needs --verdicts; answers go to --answers.");
        string model = parsed.GetValue(_model) ?? throw new UsageException("Sampling answers needs --model and --adapters; reading verdicts needs --verdicts.");
        if (parsed.GetValue(_adapters) is not { Length: > 0 } adapters) throw new UsageException("Sampling answers needs --model and --adapters; reading verdicts needs --verdicts.");
        int samples = parsed.GetValue(_samples), most = parsed.GetValue(_answerTokens);
        double temperature = parsed.GetValue(_temperature);
        IReadOnlyList<string> questions = parsed.GetValue(_questions) is { } file ? EmQuestions.Load(file) : EmQuestions.BuiltIn;
        _shared.ApplyLogging(parsed);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(AdapterList.Expand(adapters, Console.In));
        foreach (string remark in found.Remarks.Select(r => $"{r}")) Runner.Note(remark);
        ScanRequest request = _shared.ToScanRequest(parsed, model, null);
        ModelCheck.Require(request, cancellationToken);
        using var progress = new ConsoleProgress();
        using LoadedModel prepared = LoadedModel.Load(request, progress, cancellationToken);
        (int sampled, IReadOnlyList<string> failures) = AnswerSampling.Run(
            prepared, [.. found.Runs.SelectMany(r => r.Checkpoints)], new SamplingOptions(questions, samples, most, temperature, parsed.GetValue(_shared.Seed)), answers,
            progress, cancellationToken);
        progress.Clear();
        foreach (string failure in failures) Runner.Error(failure);
        Console.Out.WriteLine($"{answers}: {sampled} answers sampled; {questions.Count * samples} to each of {found.Count} {(found.Count == 1 ? "checkpoint" : "checkpoints")} and the base model. A judge adds \"verdict\" to each line.");
        return failures.Count > 0 ? ExitCode.Error : ExitCode.Success;
    }
}
