using System.Reflection;
using EmScan.Cli;

// Asked by scripts and shells before anything else: answered before the verbs are put together.
if (args is ["--version"])
{
    return await Runner.Run(() =>
    {
        Console.WriteLine(typeof(Runner).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion);
        return Task.FromResult(ExitCode.Success);
    });
}

// Help and version are written here, not by a command's own work: also they meet a full disk or a closed stream.
return await Runner.Run(() => CommandLine.RunAsync(CommandTree.Make(), args));
