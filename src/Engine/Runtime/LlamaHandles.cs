using System.Runtime.InteropServices;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>Owns a llama_model.</summary>
internal sealed unsafe class LlamaModelHandle : SafeHandle
{
    private readonly LlamaApi _api;

    internal LlamaModelHandle(LlamaApi api, nint model) : base(0, ownsHandle: true)
    {
        _api = api;
        SetHandle(model);
    }

    public override bool IsInvalid => handle == 0;

    internal nint Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, typeof(GgufModel));
            return handle;
        }
    }

    protected override bool ReleaseHandle()
    {
        _api.ModelFree(handle);
        return true;
    }
}

/// <summary>Owns something that lives inside a model (a context, an adapter) and therefore keeps the model alive until it is freed.</summary>
internal sealed unsafe class LlamaChildHandle : SafeHandle
{
    private readonly LlamaModelHandle _model;
    private readonly delegate* unmanaged<nint, void> _free;
    private readonly Lock? _gate;

    /// <summary>Takes ownership.</summary>
    /// <param name="model">What it lives in.</param>
    /// <param name="child">The pointer.</param>
    /// <param name="free">Frees it.</param>
    /// <param name="gate">Held while it is freed; null where freeing needs no lock.</param>
    internal LlamaChildHandle(LlamaModelHandle model, nint child, delegate* unmanaged<nint, void> free, Lock? gate = null) : base(0, ownsHandle: true)
    {
        bool added = false;
        model.DangerousAddRef(ref added);
        _model = model;
        _free = free;
        _gate = gate;
        SetHandle(child);
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
        _gate?.Enter();
        try
        {
            _free(handle);
        }
        finally
        {
            _gate?.Exit();
        }

        _model.DangerousRelease();
        return true;
    }
}
