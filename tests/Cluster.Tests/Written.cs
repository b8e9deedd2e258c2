namespace EmScan.Cluster.Tests;

/// <summary>What a scan or an analysis leaves in its output folder for people and programs: all but the measurements and the records of shards.</summary>
internal static class Written
{
    internal static SortedDictionary<string, string> Files(string output)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(output, "*", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(output, path);
            string top = name.Split(Path.DirectorySeparatorChar)[0];
            if (top is "shards" or "cache" or "logs" || top.StartsWith("cells-", StringComparison.Ordinal)) continue;
            files.Add(name, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(path))));
        }

        return files;
    }

    /// <summary>Asserts that both folders hold the same files, byte for byte, and not none.</summary>
    internal static void Same(string expected, string actual)
    {
        SortedDictionary<string, string> one = Files(expected), other = Files(actual);
        Assert.NotEmpty(one);
        Assert.Equal(one.Keys, other.Keys);
        foreach ((string name, string digest) in one)
            Assert.True(digest == other[name], $"{name} differs:\n{File.ReadAllText(Path.Combine(expected, name))}\n---\n{File.ReadAllText(Path.Combine(actual, name))}");
    }
}
