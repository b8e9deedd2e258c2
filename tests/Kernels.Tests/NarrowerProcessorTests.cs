using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace EmScan.Kernels.Tests;

/// <summary>
/// Runs the conformance cases in processes for which the runtime hides instruction sets, so that a machine with AVX-512 tests what a
/// machine without it would run. EnableAVX512 is the switch of .NET 10, EnableAVX512F that of earlier versions.
/// </summary>
public sealed class NarrowerProcessorTests
{
    [Fact]
    public void Without_AVX512_the_256_bit_set_is_the_widest() =>
        AssertConforms(Run("DOTNET_EnableAVX512=0", "DOTNET_EnableAVX512F=0"), ["vector512"]);

    [Fact]
    public void Without_AVX2_the_128_bit_set_is_the_widest() =>
        AssertConforms(Run("DOTNET_EnableAVX512=0", "DOTNET_EnableAVX512F=0", "DOTNET_EnableAVX2=0"), ["vector256", "vector512"]);

    [Fact]
    public void Without_any_vectors_the_reference_runs() =>
        AssertConforms(Run("DOTNET_EnableHWIntrinsic=0"), ["vector128", "vector256", "vector512"]);

    [Fact]
    public void The_environment_variable_forces_a_set() =>
        Assert.Contains("selected reference", Run("EMSCAN_KERNEL=reference").Output);

    [Fact]
    public void A_set_that_the_processor_lacks_is_refused()
    {
        (int exitCode, string[] output, string error) = Run("EMSCAN_KERNEL=vector128", "DOTNET_EnableHWIntrinsic=0");
        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Equal("EMSCAN_KERNEL is 'vector128', which this processor does not support; available here: reference.", error.Trim());
    }

    private static void AssertConforms((int ExitCode, string[] Output, string Error) run, string[] hidden)
    {
        Assert.Equal((0, ""), (run.ExitCode, run.Error));

        // The switches exist on x86 only. Elsewhere nothing is hidden, and the cases must hold all the same.
        bool x86 = RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86;
        string[] expected = [.. KernelSets.Available.Select(set => set.Name).Except(x86 ? hidden : [])];
        Assert.Contains($"available {string.Join(' ', expected)}", run.Output);
        Assert.Contains($"selected {expected[^1]}", run.Output);
        string[][] errors = [.. run.Output.Select(line => line.Split(' ')).Where(fields => fields[0] == "error")];
        Assert.Equal(expected, errors.Select(fields => fields[1]).Distinct());
        foreach (string[] fields in errors)
        {
            double tolerance = fields[2] switch
            {
                "project" or "project-wide" => 1.5e-7,
                "add-outer-products" or "add-centred-outer-products" => 3e-7,
                "row-norms" or "add-rows" => 1e-14,
                "threads" => 0,
                _ => throw new InvalidOperationException($"The probe reports an operation '{fields[2]}' without a tolerance."),
            };
            if (fields[1] == "reference")
                tolerance = Math.Min(tolerance, 1e-14);
            Assert.InRange(double.Parse(fields[3], CultureInfo.InvariantCulture), 0, tolerance);
        }

        Assert.Equal(
            expected.Select(name => $"allocated {name} 0"),
            run.Output.Where(line => line.StartsWith("allocated", StringComparison.Ordinal)));
    }

    private static (int ExitCode, string[] Output, string Error) Run(params string[] environment)
    {
        string probe = Path.Combine(AppContext.BaseDirectory, "EmScan.Kernels.Probe.dll");
        ProcessStartInfo start = new(Environment.ProcessPath!, [probe]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Remove(KernelSets.EnvironmentVariable);
        foreach (string assignment in environment)
        {
            string[] parts = assignment.Split('=');
            start.Environment[parts[0]] = parts[1];
        }

        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries), error.Result);
    }
}
