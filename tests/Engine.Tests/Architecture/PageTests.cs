using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Architecture;

/// <summary>A comment that sends its reader to a page sends him to one that is there.</summary>
public sealed partial class PageTests
{
    [Fact]
    public void Every_page_that_a_source_file_names_is_in_docs()
    {
        string[] named = [.. Directory.EnumerateFiles(Repository.File("src"), "*.cs", SearchOption.AllDirectories).SelectMany(File.ReadLines)
            .SelectMany(line => Page().Matches(line)).Select(m => m.Groups[1].Value).Distinct()];
        Assert.True(named.Length > 10, $"{named.Length} pages are not all that are named.");
        Assert.DoesNotContain(named, page => !File.Exists(Repository.File($"docs/{page}")));
    }

    // Not the pages of others, by their addresses.
    [GeneratedRegex(@"(?<![\w/.:-])(?:docs/)?([\w/.-]*\w\.md)\b")]
    private static partial Regex Page();
}
