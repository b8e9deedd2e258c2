using System.Runtime.InteropServices;

namespace EmScan.Engine.Runtime;

/// <summary>
/// The prompts as one tree of tokens in depth-first order: node n continues node <c>Parent(n)</c> at position <c>Depth(n)</c>. A node whose
/// parent is not the node before it starts a new chain.
/// </summary>
internal sealed class PrefixTree
{
    /// <summary>A position that a prompt wants, at the node that computes it.</summary>
    internal readonly record struct Want(int Node, int Prompt, int Slot);

    private readonly List<int> _tokens = [], _parents = [], _depths = [];
    private readonly List<Want> _wants = [];
    private readonly List<int> _firstWant = [];
    private bool[] _late = [];

    internal int Count => _tokens.Count;

    internal int Token(int node) => _tokens[node];

    /// <summary>The node that this one continues; -1 for the first token of a prompt.</summary>
    internal int Parent(int node) => _parents[node];

    /// <summary>Position in the prompt, from 0.</summary>
    internal int Depth(int node) => _depths[node];

    internal bool StartsChain(int node) => _parents[node] != node - 1 || _depths[node] == 0;

    internal bool IsWanted(int node) => _firstWant[node + 1] > _firstWant[node];

    /// <summary>Whether the node is wanted, and all that continue it are: no node that nobody wants waits for it.</summary>
    internal bool IsLate(int node) => _late[node];

    /// <summary>Who wants the nodes from <paramref name="start"/> to <paramref name="end"/>, by node.</summary>
    internal ReadOnlySpan<Want> Wants(int start, int end) =>
        CollectionsMarshal.AsSpan(_wants)[_firstWant[start].._firstWant[end]];

    /// <summary>Builds the tree; without sharing every prompt is a chain of its own, in the order given.</summary>
    internal static PrefixTree Build(IReadOnlyList<CapturePrompt> prompts, bool share)
    {
        var tree = new PrefixTree();
        int[] order = [.. Enumerable.Range(0, prompts.Count)];

        // Sorted by tokens, prompts with a common beginning are neighbours, and the next one leaves the tree's newest path where it differs.
        if (share) Array.Sort(order, (a, b) => prompts[a].Tokens.AsSpan().SequenceCompareTo(prompts[b].Tokens) is not 0 and var c ? c : a.CompareTo(b));
        int[] path = new int[prompts.Count == 0 ? 0 : prompts.Max(p => p.Tokens.Length)];
        ReadOnlySpan<int> previous = [];
        foreach (int index in order)
        {
            CapturePrompt prompt = prompts[index];
            int common = share ? prompt.Tokens.AsSpan().CommonPrefixLength(previous) : 0;
            for (int depth = common; depth < prompt.Tokens.Length; depth++)
            {
                tree._parents.Add(depth == 0 ? -1 : path[depth - 1]);
                path[depth] = tree.Count;
                tree._tokens.Add(prompt.Tokens[depth]);
                tree._depths.Add(depth);
            }

            for (int slot = 0; slot < prompt.Positions.Length; slot++)
                tree._wants.Add(new Want(path[prompt.Positions[slot]], index, slot));
            previous = prompt.Tokens;
        }

        tree._wants.Sort((a, b) => (a.Node, a.Prompt, a.Slot).CompareTo((b.Node, b.Prompt, b.Slot)));
        int want = 0;
        for (int node = 0; node <= tree.Count; node++)
        {
            while (want < tree._wants.Count && tree._wants[want].Node < node) want++;
            tree._firstWant.Add(want);
        }

        // From the leaves up: children come behind their parents.
        tree._late = [.. Enumerable.Range(0, tree.Count).Select(tree.IsWanted)];
        for (int node = tree.Count - 1; node >= 0; node--)
        {
            if (tree._parents[node] is >= 0 and var parent) tree._late[parent] &= tree._late[node];
        }

        return tree;
    }
}
