using System.Runtime.InteropServices;
using EmScan.Engine.Runtime.Native;
using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <summary>Owns an adapter, which lives inside a model and therefore keeps the model alive until it is freed.</summary>
internal sealed unsafe class LlamaAdapterHandle : SafeHandle
{
    private readonly SafeLlamaModelHandle _model;
    private readonly LlamaImports _imports;
    private readonly Lock _gate;

    /// <summary>Takes ownership.</summary>
    /// <param name="model">What it lives in.</param>
    /// <param name="adapter">The pointer.</param>
    /// <param name="imports">Frees it.</param>
    /// <param name="gate">Held while it is freed.</param>
    internal LlamaAdapterHandle(SafeLlamaModelHandle model, nint adapter, LlamaImports imports, Lock gate) : base(0, ownsHandle: true)
    {
        bool added = false;
        model.DangerousAddRef(ref added);
        _model = model;
        _imports = imports;
        _gate = gate;
        SetHandle(adapter);
    }

    public override bool IsInvalid => handle == 0;

    internal nint Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    protected override bool ReleaseHandle()
    {
        lock (_gate) _imports.AdapterFree(handle);
        _model.DangerousRelease();
        return true;
    }
}
