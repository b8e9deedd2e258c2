using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using EmScan.Engine.Runtime.Native;
using LLama.Native;
using Microsoft.Extensions.Logging;

namespace EmScan.Engine.Runtime;

/// <summary>
/// The llama.cpp of this process, as LLamaSharp loads it. There is one: llama.cpp keeps global state (backends, the log callback). Where
/// the host has used LLamaSharp before, emscan takes what is there and changes nothing about it.
/// </summary>
/// <remarks>Thread safe.</remarks>
public sealed unsafe class LlamaLibrary
{
    /// <summary>Version of LLamaSharp that emscan is made for.</summary>
    public const string SupportedLLamaSharp = "0.30.0";

    /// <summary>Commit of llama.cpp that <see cref="SupportedLLamaSharp"/> is made of, as ggml_commit() gives it.</summary>
    public const string SupportedCommit = "815a2a591";

    /// <summary>Both, for people.</summary>
    public const string SupportedVersion = $"LLamaSharp {SupportedLLamaSharp} (llama.cpp {SupportedCommit})";

    /// <summary>Environment variable that names a folder with llama.cpp's shared libraries, to be used instead of the ones shipped.</summary>
    public const string DirectoryVariable = "EMSCAN_LLAMA_DIR";

    // Written by Backend.props into the configuration of an application that was built with it.
    private const string BackendKey = "EmScan.Backend";

    private static readonly Lock Gate = new();
    private static LlamaLibrary? _current;
    private static Action<string>? _log;
    private static LogLines? _lines;

    private LlamaLibrary(LlamaImports imports, bool shipped)
    {
        Imports = imports;
        IsShipped = shipped;
        Directory = Path.GetDirectoryName(imports.File) ?? "";
        Version = $"{Utf8(imports.Commit())} (ggml {Utf8(imports.GgmlVersion())}, LLamaSharp {SupportedLLamaSharp})";
        Devices = ReadDevices(imports);
    }

    internal LlamaImports Imports { get; }

    /// <summary>Whether these are the libraries that came with the program, not those of a folder that was asked for.</summary>
    internal bool IsShipped { get; }

    /// <summary>The folder the libraries were loaded from.</summary>
    public string Directory { get; }

    /// <summary>What the library says of its own version: its commit, ggml's version, and the LLamaSharp in use.</summary>
    public string Version { get; }

    /// <summary>The compute devices that llama.cpp found, the CPU among them.</summary>
    public IReadOnlyList<LlamaDevice> Devices { get; }

    /// <summary>
    /// Receives llama.cpp's log text, piece by piece; null (the default) silences it. May be called from any thread. In a process where the
    /// host has loaded LLamaSharp first, or given it a log callback, the log is the host's and this receives nothing.
    /// </summary>
    internal static Action<string>? Log
    {
        get => _log;
        set => _log = value;
    }

    /// <summary>The accelerator that the program was built for ("cuda12", "vulkan"), or null.</summary>
    public static string? Accelerator => AppContext.GetData(BackendKey) as string is { } backend && backend != "cpu" ? backend : null;

    /// <summary>The full path of the folder whose libraries are to be used instead of the ones shipped, or null.</summary>
    /// <param name="directory">As given to <see cref="Load(string?)"/>.</param>
    public static string? Asked(string? directory)
    {
        string? asked = directory ?? Environment.GetEnvironmentVariable(DirectoryVariable);
        return string.IsNullOrEmpty(asked) ? null : Path.TrimEndingDirectorySeparator(Path.GetFullPath(asked));
    }

    /// <summary>Loads the libraries, or returns those already loaded.</summary>
    /// <param name="directory">Folder with shared libraries of llama.cpp <see cref="SupportedCommit"/>; null means the environment variable
    /// <see cref="DirectoryVariable"/>, else what LLamaSharp's configuration gives.</param>
    /// <exception cref="LlamaException">A library is missing or belongs to another platform or version, or another folder is already in use.</exception>
    public static LlamaLibrary Load(string? directory = null) => Load(directory, allowFallback: true);

    /// <summary>As <see cref="Load(string?)"/>.</summary>
    /// <param name="directory">As there.</param>
    /// <param name="allowFallback">Whether a program that was built for an accelerator may go on with the processor.</param>
    internal static LlamaLibrary Load(string? directory, bool allowFallback)
    {
        lock (Gate)
        {
            string? asked = Asked(directory);
            if (_current == null)
            {
                LlamaLayoutCheck.VerifyLLamaSharp();
                if (!NativeLibraryConfig.LLama.LibraryHasLoaded) Configure(asked, allowFallback);
                _current = Bind(shipped: asked == null);
            }

            if (asked != null && asked != _current.Directory)
                throw new LlamaException($"llama.cpp was already loaded from {_current.Directory}; one process can use one build only.");
            return _current;
        }
    }

    /// <summary>What the host's LLamaSharp has loaded.</summary>
    /// <exception cref="LlamaException">It is another version.</exception>
    internal static LlamaLibrary OfHost()
    {
        lock (Gate)
        {
            if (_current != null) return _current;
            LlamaLayoutCheck.VerifyLLamaSharp();
            return _current = Bind(shipped: true);
        }
    }

    // Only reached before LLamaSharp has loaded anything. What a host has set stays: nothing is set here that was not asked for.
    private static void Configure(string? directory, bool allowFallback)
    {
        // Without this a failed assertion in ggml tries to attach a debugger before it aborts.
        NativeEnvironment.SetDefault("GGML_NO_BACKTRACE", "1");
        if (LogCallback(NativeLibraryConfig.LLama) == null) NativeLogConfig.llama_log_set(OnLog);
        string? backend = AppContext.GetData(BackendKey) as string;

        // Threads that wait are to sleep, not to spin: on a busy machine two threads that spin took 7 times as long as one (docs/runtime.md).
        // Only in a program of our own: the variables are for all that uses OpenMP in a process.
        if (backend != null && Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") == null) NativeEnvironment.SetDefault("OMP_WAIT_POLICY", "passive");
        if (directory != null)
        {
            NativeLibraryConfig.LLama.WithLibrary(Check(directory));
            return;
        }

        // A library that lies in the current folder by chance must not come before the program's own.
        if (backend == null) return;
        NativeLibraryConfig.LLama.WithSearchDirectory(AppContext.BaseDirectory).WithCuda(backend == "cuda12").WithVulkan(backend == "vulkan");

        // LLamaSharp looks for signs of CUDA or Vulkan and silently takes the processor where it sees none.
        if (backend != "cpu" && !allowFallback) NativeLibraryConfig.LLama.WithAutoFallback(false).SkipCheck();
    }

    /// <summary>Refuses a folder that is not what emscan can work with, before its libllama is loaded.</summary>
    /// <returns>The path of libllama.</returns>
    private static string Check(string directory)
    {
        if (!System.IO.Directory.Exists(directory))
            throw new LlamaException($"{directory}: no such folder; give one with {LibraryFile.Name("llama")}, or leave it out to use the llama.cpp that emscan ships.");
        string llama = Find(directory, "llama"), ggmlBase = Find(directory, "ggml-base");
        nint module = LoadOne(ggmlBase);
        var commit = (delegate* unmanaged<byte*>)(NativeLibrary.TryGetExport(module, "ggml_commit", out nint c) ? c : 0);
        var version = (delegate* unmanaged<byte*>)(NativeLibrary.TryGetExport(module, "ggml_version", out nint v) ? v : 0);
        if (commit != null && LlamaLayoutCheck.IsSupportedCommit(Utf8(commit()))) return llama;
        LlamaException refused = LlamaLayoutCheck.OtherCommit(
            ggmlBase, version == null ? "(of unknown version)" : Utf8(version()), commit == null ? "(unknown)" : Utf8(commit()));
        NativeLibrary.Free(module);
        throw refused;
    }

    private static string Find(string directory, string library) =>
        LibraryFile.FindIn(directory, library)
        ?? throw new LlamaException($"{directory}: {LibraryFile.Name(library)} is missing; give a complete build of llama.cpp {SupportedCommit}.");

    private static nint LoadOne(string path)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new LlamaException(
                $"{path}: the library cannot be loaded on this machine ({RuntimeInformation.RuntimeIdentifier}): {FirstLine(e.Message)}", e);
        }
    }

    private static LlamaLibrary Bind(bool shipped)
    {
        try
        {
            NativeApi.llama_empty_call();
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException or LLama.Exceptions.RuntimeError)
        {
            throw new LlamaException(
                Accelerator is { } accelerator
                    ? $"This emscan was built for {accelerator}, and llama.cpp's {accelerator} libraries cannot be loaded on this machine; install its driver and runtime, or choose the device cpu."
                    : $"LLamaSharp cannot load llama.cpp on this machine ({RuntimeInformation.RuntimeIdentifier}); the application needs the package LLamaSharp.Backend.Cpu {SupportedLLamaSharp} or another backend of it, and libgomp on Linux.",
                e);
        }

        LlamaImports imports;
        try
        {
            imports = LlamaImports.Bind();
        }
        catch (MissingMemberException e)
        {
            throw LlamaLayoutCheck.OtherLLamaSharp(e.Message, e);
        }

        LlamaLayoutCheck.Verify(imports);

        // Builds with a library for each CPU family have no device before this.
        if (imports.DeviceCount() == 0)
        {
            fixed (byte* path = NullTerminated(Path.GetDirectoryName(imports.File)!))
                imports.LoadAllBackendsFromPath(path);
        }

        var library = new LlamaLibrary(imports, shipped);
        return library.Devices.Any(d => d.IsCpu) ? library : throw new LlamaException(
            $"{library.Directory}: llama.cpp found no compute device, not even the CPU; the folder lacks the libggml-cpu libraries that belong to libllama.");
    }

    private static string FirstLine(string text) => text.Split('\n', 2)[0].Trim();

    private static List<LlamaDevice> ReadDevices(LlamaImports imports)
    {
        var devices = new List<LlamaDevice>();
        for (nuint i = 0; i < imports.DeviceCount(); i++)
        {
            nint handle = imports.DeviceGet(i);

            // Behind processor, graphics card and built-in graphics come helpers of the processor, such as a BLAS: no place for layers.
            if (imports.DeviceType(handle) > 2) continue;
            nuint free = 0, total = 0;
            imports.DeviceMemory(handle, &free, &total);
            devices.Add(new LlamaDevice(Utf8(imports.DeviceName(handle)), Utf8(imports.DeviceDescription(handle)), imports.DeviceType(handle) == 0, (long)total, handle));
        }

        return devices;
    }

    /// <summary>Sends llama.cpp's log to a host's logger, a line at a time; the last one given receives it, since a process has one log.</summary>
    /// <param name="factory">Of the host.</param>
    internal static void LogTo(ILoggerFactory factory) => _lines = new LogLines(factory.CreateLogger("EmScan.Llama"));

    private static void OnLog(LLamaLogLevel level, string text)
    {
        try
        {
            _log?.Invoke(text);
            _lines?.Add(level, text);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // A closed stderr must not take llama.cpp down with it: an exception cannot cross native frames.
            _log = null;
        }
    }

    // Whether the host has given LLamaSharp a log: it must not lose it to ours. Not public in LLamaSharp.
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_LogCallback")]
    private static extern NativeLogConfig.LLamaLogCallback? LogCallback(NativeLibraryConfig config);

    internal static byte[] NullTerminated(string text) => Encoding.UTF8.GetBytes(text + "\0");

    internal static string Utf8(byte* text) =>
        text == null ? "" : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}

/// <summary>A compute device as llama.cpp names it.</summary>
/// <param name="Name">Short name, such as <c>CPU</c>, <c>CUDA0</c>, <c>Vulkan0</c>.</param>
/// <param name="Description">The product's name.</param>
/// <param name="IsCpu">True for the processor itself.</param>
/// <param name="MemoryBytes">Total memory in bytes.</param>
/// <param name="Handle">ggml's device pointer.</param>
public sealed record LlamaDevice(string Name, string Description, bool IsCpu, long MemoryBytes, nint Handle);
