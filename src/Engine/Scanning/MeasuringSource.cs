using EmScan.Engine.Runtime;
using EmScan.Kernels;

namespace EmScan.Engine.Scanning;

/// <summary>An activation source and the room to reduce what it gives.</summary>
/// <remarks>Used by one thread at a time, except for <see cref="Load"/>.</remarks>
internal sealed class MeasuringSource
{
    private readonly IActivationSource _source;
    private readonly CapturePlan _plan;
    private readonly MeasurementSink _sink;

    internal MeasuringSource(IActivationSource source, CapturePlan plan, ScanDefinition definition)
    {
        _source = source;
        _plan = plan;
        MeasurementShape shape = definition.Shape;
        _sink = new MeasurementSink(KernelSets.Default, definition.DirectionArray, shape.Traits, shape.HiddenSize, definition.Prompts);
    }

    /// <summary>Opens an adapter; may be called while another thread measures.</summary>
    internal ILoadedAdapter Load(string path, int lastLayer) => _source.LoadAdapter(path, lastLayer);

    /// <summary>Measures the model with an adapter, or the base for null. No adapter is active afterwards.</summary>
    internal Measurement Measure(ILoadedAdapter? adapter, CancellationToken cancellationToken)
    {
        _source.SetAdapters(adapter == null ? [] : [new WeightedAdapter(adapter, 1)]);
        try
        {
            _sink.Reset();
            _source.Capture(_plan, _sink, cancellationToken);
            return _sink.Result();
        }
        finally
        {
            if (adapter != null) _source.SetAdapters([]);
        }
    }
}
