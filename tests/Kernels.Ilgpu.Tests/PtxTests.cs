using System.Reflection;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace EmScan.Kernels.Ilgpu.Tests;

/// <summary>What NVIDIA's compiler would be given, made without a driver: no card is needed to see what would be slow there.</summary>
public sealed class PtxTests
{
    public static TheoryData<string> Kernels
    {
        get
        {
            TheoryData<string> names = [];
            foreach (MethodInfo method in Methods())
                names.Add(method.Name);
            return names;
        }
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Every_kernel_compiles_without_local_memory(string name)
    {
        string ptx = Compile(name);
        Assert.Contains(".visible .entry", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain(".local", ptx, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(nameof(ProductKernels.Project))]
    [InlineData(nameof(ProductKernels.Encode))]
    [InlineData(nameof(MomentKernels.AddOuter))]
    public void Products_read_shared_memory_sixteen_bytes_at_a_time_and_may_be_fused(string name)
    {
        string ptx = Compile(name);
        Assert.Contains("ld.shared.v4.f32", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("ld.shared.f32", ptx, StringComparison.Ordinal);

        // Without a rounding mode NVIDIA's assembler may join a multiplication and an addition: the PTX manual, "mul" and "add".
        Assert.Contains("mul.f32", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("mul.rn.f32", ptx, StringComparison.Ordinal);
    }

    private static IEnumerable<MethodInfo> Methods() => new[] { typeof(ProductKernels), typeof(MomentKernels) }
        .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static)).Where(method => method.ReturnType == typeof(void));

    private static string Compile(string name)
    {
        using Context context = Context.Create(builder => IlgpuDevices.Usual(builder));
        using PTXBackend backend = new(context, CudaArchitecture.SM_80, CudaInstructionSet.ISA_80, null!);
        EntryPointDescription entry = EntryPointDescription.FromExplicitlyGroupedKernel(Methods().Single(method => method.Name == name));
        return ((PTXCompiledKernel)backend.Compile(entry, new KernelSpecialization(Tiles.Threads, 2))).PTXAssembly;
    }
}
