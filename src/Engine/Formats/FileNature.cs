using System.Runtime.InteropServices;
using System.Text;

namespace EmScan.Engine.Formats;

/// <summary>What the system says of a file beside its content and its times: whether it is one at all, and whose. Known on Linux; elsewhere every
/// file counts as an ordinary one, and owners are not known. Thread safe.</summary>
/// <remarks>
/// Asked before a file is opened: opening a pipe that nobody writes to waits for ever, and devices have no end. A folder that others can write to
/// may hold both under any name.
/// </remarks>
internal static unsafe class FileNature
{
    // struct statx, the same on every architecture: stx_uid at byte 20, stx_mode at 28. The type is in the upper four bits of the mode.
    private const int StatxSize = 256, UidAt = 20, ModeAt = 28, TypeMask = 0xF000, Folder = 0x4000, Regular = 0x8000;
    private const int CurrentFolder = -100, Followed = 0, LinkItself = 0x100;
    private const uint WantType = 1, WantUid = 8;

    /// <summary>Whether a path leads to something that is neither a file nor a folder: a pipe, a device, a socket. False for what is not there.</summary>
    internal static bool IsSpecial(string path) => Look(path, Followed) is { } found && (found.Mode & TypeMask) is not (Folder or Regular);

    /// <summary>The number of the user that a file, or a link itself, belongs to; null where that cannot be said.</summary>
    internal static uint? OwnerOf(string path) => Look(path, LinkItself)?.Uid;

    private static (int Mode, uint Uid)? Look(string path, int flags)
    {
        if (!OperatingSystem.IsLinux() || path.Contains('\0', StringComparison.Ordinal)) return null;
        byte* answer = stackalloc byte[StatxSize];
        try
        {
            fixed (byte* name = Encoding.UTF8.GetBytes(path + "\0"))
                return statx(CurrentFolder, name, flags, WantType | WantUid, answer) == 0 ? (*(ushort*)(answer + ModeAt), *(uint*)(answer + UidAt)) : null;
        }
        catch (EntryPointNotFoundException)
        {
            // A C library of before 2018.
            return null;
        }
    }

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int statx(int folder, byte* path, int flags, uint mask, byte* answer);
}
