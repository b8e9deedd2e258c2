using System.Runtime.InteropServices;
using System.Text;

namespace EmScan.Engine.Runtime.Native;

/// <summary>The environment as native libraries read it: on Unix, Environment.SetEnvironmentVariable changes the managed copy only.</summary>
internal static unsafe class NativeEnvironment
{
    /// <summary>Sets a variable, unless the user has set it.</summary>
    internal static void SetDefault(string name, string value)
    {
        if (Environment.GetEnvironmentVariable(name) != null) return;
        Environment.SetEnvironmentVariable(name, value);
        if (OperatingSystem.IsWindows()) return;
        fixed (byte* n = Encoding.UTF8.GetBytes(name + "\0"), v = Encoding.UTF8.GetBytes(value + "\0"))
            _ = setenv(n, v, 0);
    }

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int setenv(byte* name, byte* value, int overwrite);
}
