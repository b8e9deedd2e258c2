using System.Text;

namespace EmScan.Mutation;

/// <summary>One change of the source that a test should notice.</summary>
/// <param name="Number">From 1 on, in the order of the list.</param>
/// <param name="Area">Whose tests are run.</param>
/// <param name="File">The source file, from the root of the repository.</param>
/// <param name="Before">What stands there before the changed piece, to find it; mostly empty.</param>
/// <param name="Original">The piece: an expression, or a statement that is left out.</param>
/// <param name="After">What stands behind it.</param>
/// <param name="Changed">The expression in its place; empty to leave a statement out.</param>
internal sealed record Mutant(int Number, string Area, string File, string Before, string Original, string After, string Changed)
{
    public override string ToString() => $"{Path.GetFileName(File)}: {Before}{Original}{After} ==> {(Changed.Length == 0 ? "(left out)" : Changed)}";
}

/// <summary>The list of mutants.</summary>
internal static class Mutants
{
    /// <summary>Reads a list: <c># area</c>, <c>@ file</c>, and lines <c>original ==> changed</c>, where «» mark the piece if it alone occurs several times.</summary>
    internal static IReadOnlyList<Mutant> Read(string path)
    {
        var mutants = new List<Mutant>();
        string area = "", file = "";
        foreach (string line in File.ReadLines(path).Where(line => line.Trim().Length > 0))
        {
            if (line.StartsWith("# ", StringComparison.Ordinal)) area = line[2..].Trim();
            else if (line.StartsWith("@ ", StringComparison.Ordinal)) file = line[2..].Trim();
            else
            {
                string[] sides = line.Split(" ==>", 2);
                string text = sides[0].Trim();
                int open = text.IndexOf('«'), close = text.IndexOf('»');
                (string before, string original, string after) = open < 0 ? ("", text, "") : (text[..open], text[(open + 1)..close], text[(close + 1)..]);
                mutants.Add(new Mutant(mutants.Count + 1, area, file, before, original, after, sides[1].Trim()));
            }
        }

        return mutants;
    }

    /// <summary>Puts all of them into a copy of the tree, each to be switched on by its number when the program runs: one build for all.</summary>
    /// <exception cref="InvalidOperationException">A piece is not there, or there several times.</exception>
    internal static void Apply(string root, IReadOnlyList<Mutant> mutants)
    {
        foreach (IGrouping<string, Mutant> file in mutants.GroupBy(m => m.File))
        {
            string path = Path.Combine(root, file.Key), source = File.ReadAllText(path);
            var places = new List<(int At, Mutant Mutant)>();
            foreach (Mutant mutant in file)
            {
                string wanted = mutant.Before + mutant.Original + mutant.After;
                int at = source.IndexOf(wanted, StringComparison.Ordinal);
                if (at < 0 || source.IndexOf(wanted, at + 1, StringComparison.Ordinal) >= 0)
                    throw new InvalidOperationException($"{mutant} (number {mutant.Number}): is there {(at < 0 ? "not" : "more than once")}.");
                places.Add((at + mutant.Before.Length, mutant));
            }

            var text = new StringBuilder(source);
            foreach ((int at, Mutant mutant) in places.OrderByDescending(place => place.At))
            {
                string on = $"global::EmScan.Mutant.Is({mutant.Number})";
                text.Remove(at, mutant.Original.Length).Insert(
                    at, mutant.Changed.Length == 0 ? $"if (!{on}) {{ {mutant.Original} }}" : $"({on} ? {mutant.Changed} : {mutant.Original})");
            }

            File.WriteAllText(path, text.ToString());
        }

        File.WriteAllText(Path.Combine(root, "src/Kernels/Mutant.cs"), """
            namespace EmScan;

            /// <summary>Which mutant is switched on.</summary>
            public static class Mutant
            {
                /// <summary>Its number; 0 for none.</summary>
                public static int Active { get; set; }

                /// <summary>Whether its place was reached.</summary>
                public static bool Reached { get; set; }

                /// <summary>Whether a mutant is on.</summary>
                public static bool Is(int number) => number == Active && (Reached = true);
            }

            """);
    }
}
