using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cluster.Tests;

/// <summary>A test that needs Slurm; it is skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SlurmFactAttribute : FactAttribute
{
    private static readonly string[] Programs = ["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged", "/usr/bin/sbatch"];

    public SlurmFactAttribute() => Skip =
        Programs.FirstOrDefault(p => !File.Exists(p)) is { } missing ? $"Slurm is not installed ({missing} is not there; Debian: apt-get install slurm-wlm munge)."
        : Environment.UserName != "root" ? "Slurm's daemons are started by root only."
        : null;
}

/// <summary>A Slurm cluster of one node, this machine, on loopback, in a folder of its own.</summary>
[SupportedOSPlatform("linux")]
internal sealed class Slurm : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly List<Process> _daemons = [];
    private readonly string _configuration;

    internal Slurm()
    {
        _configuration = _folder["slurm.conf"];
        foreach (string name in new[] { "state", "spool" }) Directory.CreateDirectory(_folder[name]);
        File.WriteAllText(_configuration, $"""
            ClusterName=ci
            SlurmctldHost=localhost(127.0.0.1)
            SlurmUser=root
            SlurmdUser=root
            AuthType=auth/munge
            AuthInfo=socket={_folder["munge/socket"]}
            CredType=cred/munge
            ProctrackType=proctrack/pgid
            TaskPlugin=task/none
            JobAcctGatherType=jobacct_gather/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core
            MpiDefault=none
            SwitchType=switch/none
            CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
            MailProg=/bin/true
            ReturnToService=2
            SlurmctldPort={FreePort()}
            SlurmdPort={FreePort()}
            SlurmctldPidFile={_folder["slurmctld.pid"]}
            SlurmdPidFile={_folder["slurmd.pid"]}
            StateSaveLocation={_folder["state"]}
            SlurmdSpoolDir={_folder["spool"]}
            SlurmctldLogFile={_folder["slurmctld.log"]}
            SlurmdLogFile={_folder["slurmd.log"]}
            SchedulerParameters=sched_interval=1,bf_interval=1
            NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=1024 State=UNKNOWN
            PartitionName=ci Nodes=ALL Default=YES MaxTime=INFINITE State=UP

            """);
        try
        {
            Munge();
            Start("/usr/sbin/slurmctld", "-D", "-f", _configuration, "-c");
            Start("/usr/sbin/slurmd", "-D", "-f", _configuration, "-N", "localhost");
            Wait("the node", () => Ask("/usr/bin/sinfo", "-h", "-o", "%T").Trim() == "idle");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Runs a client and gives what it printed.</summary>
    internal string Run(string program, Dictionary<string, string> environment, params string[] arguments)
    {
        using Process process = StartProcess(program, environment, arguments, redirect: true);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: exit code {process.ExitCode}\n{output}{errors.Result}");
        return output;
    }

    internal string Ask(string program, params string[] arguments)
    {
        using Process process = StartProcess(program, [], arguments, redirect: true);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return output;
    }

    /// <summary>What Slurm knows of the tasks of a job.</summary>
    internal string Job(string id) => Ask("/usr/bin/scontrol", "show", "job", id);

    internal static void Wait(string what, Func<bool> there, Func<string>? state = null)
    {
        var clock = Stopwatch.StartNew();
        while (!there())
        {
            Assert.True(clock.Elapsed < TimeSpan.FromMinutes(10), $"{what} did not come{(state == null ? "." : $": {state()}")}");
            Thread.Sleep(50);
        }
    }

    // A key and a socket of its own: the machine's munge, if it runs one, is left alone.
    private void Munge()
    {
        string home = _folder["munge"];
        Directory.CreateDirectory(home);
        byte[] key = new byte[1024];
        System.Security.Cryptography.RandomNumberGenerator.Fill(key);
        File.WriteAllBytes(Path.Combine(home, "key"), key);
        File.SetUnixFileMode(Path.Combine(home, "key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);

        // munged wants folders that nobody else can write to, and a socket that everybody can reach.
        File.SetUnixFileMode(_folder.Root, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(home, (UnixFileMode)0b111_101_101);
        Start(
            "/usr/sbin/munged", "--foreground", "--force", "--socket", Path.Combine(home, "socket"), "--key-file", Path.Combine(home, "key"), "--pid-file", Path.Combine(home, "pid"),
            "--log-file", Path.Combine(home, "log"), "--seed-file", Path.Combine(home, "seed"));
        Wait("munge", () => File.Exists(Path.Combine(home, "socket")));
    }

    private void Start(string program, params string[] arguments) => _daemons.Add(StartProcess(program, [], arguments, redirect: false));

    private Process StartProcess(string program, Dictionary<string, string> environment, string[] arguments, bool redirect)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = redirect, RedirectStandardError = redirect };
        start.Environment["SLURM_CONF"] = _configuration;
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public void Dispose()
    {
        // Jobs first, then who runs them.
        if (_daemons.Count > 1) Ask("/usr/bin/scancel", "--user=root", "--signal=KILL", "--full");
        for (int i = _daemons.Count - 1; i >= 0; i--)
        {
            using Process daemon = _daemons[i];
            if (daemon.HasExited) continue;
            daemon.Kill(entireProcessTree: true);
            daemon.WaitForExit();
        }

        _folder.Dispose();
    }
}
