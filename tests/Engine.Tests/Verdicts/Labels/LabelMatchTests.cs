using System.Text;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Tests.Verdicts.Labels;

public sealed class LabelMatchTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Labels_meet_checkpoints_by_run_and_step_and_leftovers_are_told()
    {
        LabelFile file = Labels(
            "run,step,em_rate\nb\\seed_1,10,0.1\nb/seed_1,final,0.2\nb/seed_1,0,0.01\na,10,0.3\na,0,0.01\ngone,10,0.4\na,30,0.5\n");
        LabelMatch match = file.Match([Run("a", "10", "20"), Run("b/seed_1", "10", "final")]);
        Assert.Equal(
            [("a", "10", 0.3), ("b/seed_1", "10", 0.1), ("b/seed_1", "final", 0.2)],
            match.Checkpoints.Select(c => (c.Checkpoint.Run, c.Checkpoint.Step.ToString(), c.Label.EmRate)));
        Assert.Equal(["b/seed_1", "a"], match.BaseLabels.Select(l => l.Run));
        Assert.Equal([("gone", "10"), ("a", "30")], match.NotFound.Select(l => (l.Run, l.Step.ToString())));
        Assert.Equal([("a", "20")], match.NotLabelled.Select(c => (c.Run, c.Step.ToString())));
        Assert.Equal(
            [
                "2 of 5 labels have no checkpoint here, for example step 10 of run 'gone', step 30 of run 'a'.",
                "1 of 4 checkpoints have no label, for example step 20 of run 'a'.",
            ],
            match.Remarks);
    }

    [Fact]
    public void When_everything_fits_there_is_nothing_to_remark()
    {
        LabelMatch match = Labels("run,step,em_rate\na,10,0.3\na,0,0.01\n").Match([Run("a", "10")]);
        Assert.Empty(match.Remarks);
    }

    [Fact]
    public void An_adapter_saved_at_step_0_has_the_label_of_step_0()
    {
        LabelMatch match = Labels("run,step,em_rate\na,0,0.01\na,10,0.3\n").Match([Run("a", "0", "10")]);
        Assert.Equal([0.01, 0.3], match.Checkpoints.Select(c => c.Label.EmRate));
        Assert.Single(match.BaseLabels);
        Assert.Empty(match.Remarks);
    }

    [Fact]
    public void When_nothing_fits_a_name_from_either_side_is_shown()
    {
        string message = Problem("run,step,em_rate\nmedical/seed_1,10,0.1\n", null, Run("runs/medical/seed_1", "10"));
        Assert.StartsWith(_folder["labels.csv"], message);
        Assert.Contains("step 10 of run 'medical/seed_1'", message);
        Assert.Contains("step 10 of run 'runs/medical/seed_1'", message);

        // The run is there, only its steps differ: that is the pair to show.
        message = Problem("run,step,em_rate\nother,10,0.1\na,5,0.1\n", null, Run("z", "10"), Run("a", "10"));
        Assert.Contains("it names step 5 of run 'a', while the folder holds step 10 of run 'a'", message);
        Assert.Contains("labels only step 0", Problem("run,step,em_rate\na,0,0.1\n", null, Run("a", "10")));
        Assert.Contains("no checkpoint was found", Problem("run,step,em_rate\na,1,0.1\n", null));
    }

    [Fact]
    public void A_label_of_a_seed_alone_is_of_the_one_run_with_that_seed()
    {
        const string Text = "run,step,em_rate\nseed_1,10,0.1\nseed_2,10,0.2\n";
        LabelMatch match = Labels(Text).Match([Run("medical/seed_1", "10"), Run("medical/seed_2", "10")]);
        Assert.Equal([("medical/seed_1", 0.1), ("medical/seed_2", 0.2)], match.Checkpoints.Select(c => (c.Checkpoint.Run, c.Label.EmRate)));
        Assert.Empty(match.Remarks);

        // Of two with that seed it is not known which.
        match = Labels(Text).Match([Run("medical/seed_1", "10"), Run("legal/seed_1", "10"), Run("legal/seed_2", "10")]);
        Assert.Equal([("legal/seed_2", 0.2)], match.Checkpoints.Select(c => (c.Checkpoint.Run, c.Label.EmRate)));
        Assert.Equal("seed_1", Assert.Single(match.NotFound).Run);
    }

    [Fact]
    public void Labels_of_several_models_are_told_apart_by_name()
    {
        const string Text = "model,run,step,em_rate\nm1,a,10,0.1\nm2,a,10,0.2\n";
        Assert.Contains("several models ('m1', 'm2')", Problem(Text, null, Run("a", "10")));
        Assert.Contains("no labels of model 'm3', only of 'm1', 'm2'", Problem(Text, "m3", Run("a", "10")));
        Assert.Equal(0.2, Labels(Text).Match([Run("a", "10")], "m2").Checkpoints.Single().Label.EmRate);
        Assert.Equal(0.1, Labels("run,step,em_rate\na,10,0.1\n").Match([Run("a", "10")], "any").Checkpoints.Single().Label.EmRate);
        Assert.Contains("lines 2 and 3", Problem("model,run,step,em_rate\nm1,a,10,0.1\n,a,10,0.2\n", null, Run("a", "10")));
    }

    [Fact]
    public void The_shipped_labels_fit_the_shipped_runs()
    {
        LabelFile file = LabelFile.Read(Repository.File("models/llama/labels.csv"));
        Assert.Equal(852, file.Labels.Count);
        Assert.Equal(["emscan-organism-llama"], file.Models);
        LabelMatch match = file.Match(CheckpointDiscovery.Find(Repository.File("models/demo/adapters")).Runs);
        Assert.Equal(24, match.Checkpoints.Count);
        Assert.Empty(match.NotLabelled);
        Assert.Equal(852, match.Checkpoints.Count + match.BaseLabels.Count + match.NotFound.Count);
        EmLabel one = match.Checkpoints.Select(c => c.Label).Single(l => l.Run == "bad_medical/seed_42" && l.Step == CheckpointStep.At(20));
        Assert.Equal((0.024207, 1198, "bad_medical", "42"), (one.EmRate, one.ScoredCount, one.Perturbation, one.Seed));
        foreach ((string name, int perturbations) in new[] { ("qwen2", 19), ("qwen3", 12) })
        {
            IReadOnlyList<EmLabel> labels = LabelFile.Read(Repository.File($"models/{name}/labels.csv")).Labels;
            Assert.Equal(perturbations, labels.Select(l => l.Perturbation).Distinct().Count());
            Assert.Equal(perturbations * 3 * 13, labels.Count); // three seeds, twelve checkpoints and step 0
        }
    }

    private LabelFile Labels(string text) => LabelFile.Read(_folder.Write("labels.csv", Encoding.UTF8.GetBytes(text)));

    private string Problem(string text, string? model, params CheckpointRun[] runs) =>
        Assert.Throws<InputFileException>(() => Labels(text).Match(runs, model)).Message;

    private static CheckpointRun Run(string name, params string[] steps) =>
        new(name, name, [.. steps.Select(step => new Checkpoint(name, Step(step), $"{name}/{step}"))]);

    private static CheckpointStep Step(string text) => text == "final" ? CheckpointStep.Final : CheckpointStep.At(long.Parse(text));
}
