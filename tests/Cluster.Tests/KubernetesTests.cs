using EmScan.Engine.Tests.Support;
using k8s;
using k8s.Models;

namespace EmScan.Cluster.Tests;

/// <summary>The shipped manifests, read strictly by the models of Kubernetes' own client, and what these do not check.</summary>
public sealed class KubernetesTests
{
    [Theory]
    [InlineData("shards.yaml")]
    [InlineData("shards-gpu.yaml")]
    public void Shards_are_an_indexed_job_in_which_each_pod_takes_its_share(string name)
    {
        V1Job job = Read<V1Job>(name);
        Assert.Equal(("batch/v1", "Job"), (job.ApiVersion, job.Kind));
        Assert.Equal("Indexed", job.Spec.CompletionMode);
        Assert.Equal(job.Spec.Completions, job.Spec.Parallelism);
        Assert.True(job.Spec.BackoffLimitPerIndex > 0);
        V1Container container = Container(job);
        string[] arguments = [.. container.Args];
        Assert.Equal($"auto/{job.Spec.Completions}", arguments[Array.IndexOf(arguments, "--shard") + 1]);

        // A usage error is not tried again, a drained node is no failure; in this order, as the first rule that fits decides.
        Assert.Equal(["FailIndex", "Ignore"], job.Spec.PodFailurePolicy.Rules.Select(r => r.Action));
        Assert.Equal(("In", 2), (job.Spec.PodFailurePolicy.Rules[0].OnExitCodes.OperatorProperty, job.Spec.PodFailurePolicy.Rules[0].OnExitCodes.Values.Single()));
        Assert.Equal("DisruptionTarget", job.Spec.PodFailurePolicy.Rules[1].OnPodConditions.Single().Type);
        Assert.Equal(name == "shards-gpu.yaml", container.Resources.Limits.ContainsKey("nvidia.com/gpu"));
        Check(job);
    }

    [Fact]
    public void The_merge_is_a_job_that_danger_does_not_repeat()
    {
        V1Job merge = Read<V1Job>("merge.yaml"), shards = Read<V1Job>("shards.yaml");
        Assert.Equal("FailJob", merge.Spec.PodFailurePolicy.Rules[0].Action);
        Assert.Equal([1, 2, 3], merge.Spec.PodFailurePolicy.Rules[0].OnExitCodes.Values);
        string[] arguments = [.. Container(shards).Args];
        Assert.Equal(["merge", arguments[Array.IndexOf(arguments, "--out") + 1]], Container(merge).Args);
        Assert.Equal(Container(shards).Env.Single().Value, Container(merge).Env.Single().Value);
        Check(merge);
    }

    [Fact]
    public void Pods_on_several_nodes_write_to_the_volume()
    {
        V1PersistentVolumeClaim claim = Read<V1PersistentVolumeClaim>("volume.yaml");
        Assert.Equal(["ReadWriteMany"], claim.Spec.AccessModes);
        foreach (string name in new[] { "shards.yaml", "shards-gpu.yaml", "merge.yaml" })
            Assert.Equal(claim.Metadata.Name, Read<V1Job>(name).Spec.Template.Spec.Volumes.Single().PersistentVolumeClaim.ClaimName);
    }

    [Fact]
    public void Reading_is_strict()
    {
        string yaml = File.ReadAllText(Repository.File("deploy/kubernetes/merge.yaml"));
        Assert.ThrowsAny<Exception>(() => KubernetesYaml.Deserialize<V1Job>(yaml.Replace("backoffLimit:", "backofLimit:", StringComparison.Ordinal), strict: true));
        Assert.ThrowsAny<Exception>(() => KubernetesYaml.Deserialize<V1Job>(yaml.Replace("backoffLimit: 3", "backoffLimit: three", StringComparison.Ordinal), strict: true));
    }

    [Fact]
    public void The_commands_of_the_pods_are_commands_of_the_program()
    {
        string help = Emscan.Run(Path.GetTempPath(), "scan", "--help-all").Succeeded().Output;
        foreach (string name in new[] { "shards.yaml", "shards-gpu.yaml" })
            Assert.All(Container(Read<V1Job>(name)).Args.Where(a => a.StartsWith("--", StringComparison.Ordinal)), option => Assert.Contains(option, help));
        Assert.Contains("ENTRYPOINT [\"/opt/emscan/emscan\"]", File.ReadAllText(Repository.File("deploy/Containerfile")));
    }

    private static V1Container Container(V1Job job) => Assert.Single(job.Spec.Template.Spec.Containers);

    private static void Check(V1Job job)
    {
        // A pod failure policy is allowed with this restart policy only.
        Assert.Equal("Never", job.Spec.Template.Spec.RestartPolicy);
        Assert.All(job.Spec.PodFailurePolicy.Rules, rule => Assert.Contains(rule.Action, new[] { "FailJob", "FailIndex", "Ignore", "Count" }));
        V1Container container = Container(job);
        Assert.All(job.Spec.PodFailurePolicy.Rules.Where(r => r.OnExitCodes != null), rule =>
        {
            Assert.Equal(container.Name, rule.OnExitCodes.ContainerName);
            Assert.DoesNotContain(0, rule.OnExitCodes.Values);
        });
        Assert.Equal(job.Spec.Template.Spec.Volumes.Select(v => v.Name), container.VolumeMounts.Select(m => m.Name));
        Assert.StartsWith(container.VolumeMounts[0].MountPath, container.Env.Single(e => e.Name == "EMSCAN_CACHE").Value, StringComparison.Ordinal);
        Assert.Equal(65534, job.Spec.Template.Spec.SecurityContext.RunAsUser);
        Assert.Contains("USER 65534:65534", File.ReadAllText(Repository.File("deploy/Containerfile")));
    }

    private static T Read<T>(string name) => KubernetesYaml.Deserialize<T>(File.ReadAllText(Repository.File($"deploy/kubernetes/{name}")), strict: true);
}
