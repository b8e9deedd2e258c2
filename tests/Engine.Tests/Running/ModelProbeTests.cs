using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Running;

public sealed class ModelProbeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_model_that_has_passed_is_not_tried_again_on_the_same_device()
    {
        int trials = 0;
        ModelProbe.Require(Request(), Pass);
        ModelProbe.Require(Request(), Pass);
        Assert.Equal(1, trials);

        // What it runs on is part of what has passed.
        ModelProbe.Require(Request() with { ModelOptions = new ModelOptions { Device = "CUDA0" } }, Pass);
        Assert.Equal(2, trials);

        ModelTrial Pass()
        {
            trials++;
            return new ModelTrial(true, null, "");
        }
    }

    [Fact]
    public void A_refusal_is_said_as_it_is_and_a_death_names_the_file()
    {
        Assert.Equal("no such device", Assert.Throws<EmScanException>(() => ModelProbe.Require(Request(), () => new ModelTrial(false, "no such device", "exit code 1"))).Message);
        string sentence = Assert.Throws<InputFileException>(() => ModelProbe.Require(Request(), () => new ModelTrial(false, null, "signal 6"))).Message;
        Assert.Contains(Request().Model, sentence);
        Assert.Contains("signal 6", sentence);

        // Neither counts as passed.
        Assert.Throws<EmScanException>(() => ModelProbe.Require(Request(), () => new ModelTrial(false, "again", "")));
    }

    [Fact]
    public void What_is_no_model_is_refused_before_anything_is_started()
    {
        string text = _folder.Write("model.gguf", "hello"u8.ToArray());
        Assert.Throws<InputFileException>(() => ModelProbe.Require(Request() with { Model = text }, () => throw new InvalidOperationException("started")));
    }

    [Theory]
    [InlineData(nameof(ScanRequest.Model))]
    [InlineData(nameof(ScanRequest.Layer))]
    [InlineData(nameof(ScanRequest.Parallel))]
    [InlineData(nameof(CaptureOptions.Threads))]
    public void A_request_that_cannot_be_right_names_its_property(string property)
    {
        Request().Validate();
        ScanRequest wrong = property switch
        {
            nameof(ScanRequest.Model) => Request() with { Model = " " },
            nameof(ScanRequest.Layer) => Request() with { Layer = -1 },
            nameof(ScanRequest.Parallel) => Request() with { Parallel = -1 },
            _ => Request() with { Capture = new CaptureOptions { Threads = -1 } },
        };
        Assert.Contains(property, Assert.Throws<InvalidSettingException>(wrong.Validate).Message);
    }

    private ScanRequest Request() => new() { Model = Repository.File("models/demo/model.gguf"), CacheFolder = _folder["cache"] };
}
