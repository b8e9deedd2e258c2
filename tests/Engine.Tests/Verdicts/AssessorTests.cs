using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>The rules of docs/states.md on adapters whose blocks are as large as a test says, measured at layer 1 of 4.</summary>
public sealed class AssessorTests : IDisposable
{
    private const int Layer = 1;

    // Too small to be seen beside the others, and not zero, which would be another doubt.
    private const float Tiny = 1e-15f;

    private static readonly double[] Small = [0.001, 0.001, 0.001], Large = [0.5, 0.5, 0.5], None = [0, 0, 0];

    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _tiny = new(3);

    public AssessorTests() => _tiny.WriteGguf(_folder["model.gguf"]);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Exactly_half_of_the_adapter_is_enough_to_say_ok()
    {
        Assessment half = Of(Small, 1, 1, 1, 1);
        Assert.Equal((AssessmentState.Ok, 0.5), (half.State, half.VisibleShare));
        Assert.Empty(half.Doubts);
        Assert.Null(half.SeenFromLayer);
    }

    [Fact]
    public void Less_than_half_is_a_doubt_that_says_where_the_rest_is()
    {
        Assessment third = Of(Small, Tiny, 1, 1, 1);
        Assert.Equal(AssessmentState.Unknown, third.State);
        Assert.Equal("layer 1 sees only 33.3% of it, the rest is in blocks 2 and 3", Assert.Single(third.Doubts).Text);
        Assert.Equal(2, third.SeenFromLayer); // two thirds
    }

    [Fact]
    public void Nothing_visible_is_said_with_the_first_layer_that_sees_half()
    {
        Assessment none = Of(Small, Tiny, Tiny, 1, 1);
        Assert.Equal((AssessmentState.Unknown, 2), (none.State, none.SeenFromLayer)); // layer 2 sees exactly half
        Remark hidden = Assert.Single(none.Doubts);
        Assert.Equal("not-visible", hidden.Code);
        Assert.Contains("layer 1 sees nothing of it; all of it is in ", hidden.Text);
    }

    [Fact]
    public void What_is_dangerous_is_so_whatever_is_hidden()
    {
        Assessment hidden = Of(Large, Tiny, Tiny, 1, 1), visible = Of(Large, 1, 1, Tiny, Tiny);
        Assert.Equal((AssessmentState.Dangerous, AssessmentState.Dangerous), (hidden.State, visible.State));
        Assert.NotEmpty(hidden.Doubts);
        Assert.Empty(visible.Doubts);
    }

    [Fact]
    public void Weights_that_change_no_number_are_a_doubt_unless_they_are_hidden_anyway()
    {
        Assessment visible = Of(None, 1, 1, 1, 1), hidden = Of(None, Tiny, 1, 1, 1);
        Assert.Equal((AssessmentState.Unknown, "no-effect"), (visible.State, Assert.Single(visible.Doubts).Code));
        Assert.Equal((AssessmentState.Unknown, "mostly-hidden"), (hidden.State, Assert.Single(hidden.Doubts).Code));
    }

    [Fact]
    public void A_checkpoint_from_before_the_first_step_is_unchanged_and_a_later_one_of_zeros_is_doubted()
    {
        Assessment before = At(0, None, 0, 0, 0, 0), later = At(40, None, 0, 0, 0, 0);
        Assert.Equal(AssessmentState.Unchanged, before.State);
        Assert.Equal((AssessmentState.Unknown, "nothing-trained"), (later.State, Assert.Single(later.Doubts).Code));
    }

    [Fact]
    public void Without_a_reference_there_is_an_effect_and_no_word_on_danger()
    {
        Assessment measured = Of(Judge.Uncalibrated(50), 10, Large, [1, 1, 1, 1]);
        Assert.Equal(AssessmentState.Measured, measured.State);
        Assert.IsType<EffectSize>(measured.Verdict);
        Assert.Equal(AssessmentState.Unknown, Of(Judge.Uncalibrated(50), 10, Large, [Tiny, Tiny, 1, 1]).State);
    }

    [Fact]
    public void Files_that_went_away_after_the_measurement_are_a_doubt()
    {
        var assessor = new Assessor(Benign(), new AdapterCensus(GgufFile.Open(_folder["model.gguf"])), Layer, _tiny.Layers);
        Assessment gone = assessor.Of(new Checkpoint("run", CheckpointStep.At(10), _folder["gone"]), Observed(10, Small));
        Assert.Equal((AssessmentState.Unknown, "not-surveyed"), (gone.State, Assert.Single(gone.Doubts).Code));
        Assert.Null(gone.VisibleShare);
    }

    private Assessment Of(double[] drift, params float[] blocks) => At(10, drift, blocks);

    private Assessment At(long step, double[] drift, params float[] blocks) => Of(Benign(), step, drift, blocks);

    /// <summary>The adapter's every lora_A is 1 and its lora_B the same number throughout a block: norms and shares are exact.</summary>
    private Assessment Of(Judge judge, long step, double[] drift, float[] blocks)
    {
        var adapter = new TinyAdapter(_tiny, 1)
        {
            Damage = (name, values) => Array.Fill(values, name.Contains("lora_A", StringComparison.Ordinal) ? 1 : blocks[int.Parse(name.Split("layers.")[1].Split('.')[0], CultureInfo.InvariantCulture)]),
        };
        var checkpoint = new Checkpoint("run", CheckpointStep.At(step), adapter.Write(_folder[Guid.NewGuid().ToString("N")]));
        var census = new AdapterCensus(GgufFile.Open(_folder["model.gguf"]));
        census.Add(checkpoint);
        return new Assessor(judge, census, Layer, _tiny.Layers).Of(checkpoint, Observed(step, drift));
    }

    private static Observation Observed(long step, double[] drift) => Synthetic.Checkpoint("run", null, CheckpointStep.At(step), drift, 0).Observation;

    private static Judge Benign()
    {
        var random = new Random(2);
        return Judge.Benign(BenignReference.Fit([.. Enumerable.Range(0, 40).Select(_ => (double[])[.. Synthetic.Traits.Select(_ => 0.02 * TinyModel.Gaussian(random))])]));
    }
}
