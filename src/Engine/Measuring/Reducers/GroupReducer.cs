using System.Numerics.Tensors;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>What rows are grouped by.</summary>
internal enum RowGrouping
{
    /// <summary>The position of the token in its sequence.</summary>
    Position,

    /// <summary>The token's id.</summary>
    Token,
}

/// <summary>
/// How much of the change d = h - h_base of N rows depends on the group that a row is in: with the k group means M_g,
/// W = sum ||d_i - M_g(i)||^2 and T = sum ||d_i - m||^2, the parts "groups" k, "energy_share" 1 - W / sum ||d_i||^2, "variance_share" 1 - W / T and
/// "variance_share_adjusted" 1 - (W / (N - k)) / (T / (N - 1)); parts that cannot be formed are left out. And per group, in the order of its
/// number: "group", "count", "mean_vector_norm" ||M_g||, "mean_norm" mean ||d||.
/// </summary>
/// <param name="grouping">What rows are grouped by.</param>
internal sealed class GroupReducer(RowGrouping grouping) : Reducer
{
    /// <inheritdoc/>
    public override string Identity => $"difference groups 1 {grouping}";

    /// <inheritdoc/>
    public override bool NeedsBase => true;

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return prompts.Prompts.SelectMany(p => p.Positions, (p, at) => grouping == RowGrouping.Position ? at : p.Tokens[at]).CountBy(id => id).Sum(group => GroupSums.Bytes(group.Value, width));
    }

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(grouping, prompts, width);

    private sealed class State(RowGrouping grouping, PromptSet prompts, int width) : Accumulator
    {
        private readonly GroupSums _groups = new();

        public override void Add(in RowBlock rows)
        {
            Span<double> norm = stackalloc double[1];
            for (int r = 0; r < rows.Count; r++)
            {
                int position = prompts.Prompts[rows.Prompt].Positions[rows.Slot + r];
                int group = grouping == RowGrouping.Position ? position : prompts.Prompts[rows.Prompt].Tokens[position];
                ReadOnlySpan<float> row = rows.Difference.Slice(r * width, width);
                KernelSets.Default.RowNorms(row, width, norm);
                _groups.Add(group, row, norm[0]);
            }
        }

        public override void Merge(Accumulator other) => _groups.Merge(Same<State>(other)._groups);

        public override CellResult Finish()
        {
            (int Id, GroupSums.Group Group)[] groups = _groups.InOrder();
            long rows = groups.Sum(g => g.Group.Count);
            double energy = groups.Sum(g => g.Group.Squares), between = 0;
            double[] total = new double[width];
            foreach ((_, GroupSums.Group group) in groups)
            {
                between += TensorPrimitives.SumOfSquares<double>(group.Sum) / group.Count;
                TensorPrimitives.Add(total, group.Sum, total);
            }

            double mean = TensorPrimitives.SumOfSquares<double>(total) / rows;
            double within = Math.Max(0, energy - between), variance = Math.Max(0, energy - mean);
            var parts = new List<(string, double[])>
            {
                ("groups", [groups.Length]), ("group", [.. groups.Select(g => (double)g.Id)]), ("count", [.. groups.Select(g => (double)g.Group.Count)]),
                ("mean_vector_norm", [.. groups.Select(g => TensorPrimitives.Norm<double>(g.Group.Sum) / g.Group.Count)]),
                ("mean_norm", [.. groups.Select(g => g.Group.Norms / g.Group.Count)]),
            };
            if (energy > 0) parts.Add(("energy_share", [1 - (within / energy)]));
            if (variance > 0) parts.Add(("variance_share", [1 - (within / variance)]));
            if (variance > 0 && rows > groups.Length) parts.Add(("variance_share_adjusted", [1 - (within / (rows - groups.Length) / (variance / (rows - 1)))]));
            return new CellResult([.. parts]);
        }
    }
}

/// <summary>Sums of rows by group. Of most tokens there is one row: it is kept as it came, which takes half of a sum's memory.</summary>
internal sealed class GroupSums
{
    private readonly Dictionary<int, Group> _groups = [];

    /// <summary>Bytes that a group of so many rows takes.</summary>
    internal static long Bytes(int rows, int width) => (rows > 1 ? sizeof(double) : sizeof(float)) * (long)width;

    internal void Add(int id, ReadOnlySpan<float> row, double norm)
    {
        if (!_groups.TryGetValue(id, out Group? group)) _groups.Add(id, group = new Group());
        group.Add(row, norm);
    }

    internal void Merge(GroupSums other)
    {
        foreach ((int id, Group theirs) in other._groups)
        {
            if (_groups.TryGetValue(id, out Group? group)) group.Merge(theirs);
            else _groups.Add(id, theirs.Copy());
        }
    }

    internal (int Id, Group Group)[] InOrder() => [.. _groups.OrderBy(pair => pair.Key).Select(pair => (pair.Key, pair.Value))];

    internal sealed class Group
    {
        private float[]? _only;
        private double[]? _sum;

        /// <summary>Sum of the rows, (D); not to be written to.</summary>
        internal double[] Sum => _sum ?? Array.ConvertAll(_only!, value => (double)value);

        internal long Count { get; private set; }

        internal double Norms { get; private set; }

        internal double Squares { get; private set; }

        internal void Add(ReadOnlySpan<float> row, double norm)
        {
            if (Count == 0) _only = row.ToArray();
            else KernelSets.Default.AddRow(row, Summed());
            Count++;
            Norms += norm;
            Squares += norm * norm;
        }

        internal void Merge(Group other)
        {
            double[] sum = Summed();
            TensorPrimitives.Add(sum, other.Sum, sum);
            Count += other.Count;
            Norms += other.Norms;
            Squares += other.Squares;
        }

        internal Group Copy() => new() { _only = _only, _sum = (double[]?)_sum?.Clone(), Count = Count, Norms = Norms, Squares = Squares };

        private double[] Summed()
        {
            _sum ??= Sum;
            _only = null;
            return _sum;
        }
    }
}
