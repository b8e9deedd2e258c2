using System.Text.Json.Nodes;
using EmScan.Engine.Analyses;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Kernels;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>A whole analysis in one file, as CONTRIBUTING.md describes it: the mean norm of the hidden state, layer by layer, of the base and of an adapter.</summary>
internal sealed class MeanNormByLayer(AdapterSource adapter) : IAnalysis
{
    private static IEnumerable<Cell> Cells(AnalysisContext context, Variant variant) =>
        Enumerable.Range(0, context.LayerCount).Select(layer => new Cell(variant, context.EvaluationPrompts, layer, new MeanNorm()));

    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context) => [[.. Cells(context, Variant.Base), .. Cells(context, Variant.Of(adapter))]];

    public Findings Conclude(AnalysisContext context)
    {
        double[] before = Norms(Variant.Base), after = Norms(Variant.Of(adapter));
        int most = Enumerable.Range(0, before.Length).MaxBy(layer => Math.Abs(after[layer] / before[layer] - 1));
        return new Findings
        {
            Header = context.Header,
            Conclusion = $"{adapter.Path}: the norm changes most at layer {most}.",
            Data = new JsonObject { ["base"] = Numbers(before), ["adapter"] = Numbers(after) },
            Tables = [new FindingsTable("mean norm", [new("layer", "0"), new("base", "0.000"), new("adapter", "0.000")], [.. before.Zip(after, (b, a) => (b, a)).Index().Select(row => (IReadOnlyList<object?>)[row.Index, row.Item.b, row.Item.a])])],
        };

        static JsonArray Numbers(double[] values) => new([.. values.Select(v => (JsonNode)v)]);
        double[] Norms(Variant variant) => [.. Cells(context, variant).Select(cell => context.Results[cell]["mean_norm"][0])];
    }

    private sealed class MeanNorm : Reducer
    {
        public override string Identity => "mean norm 1";

        public override Accumulator Start(PromptSet prompts, int width) => new State(width);

        private sealed class State(int width) : Accumulator
        {
            private double _sum;
            private long _rows;

            public override void Add(in RowBlock rows)
            {
                double[] norms = new double[rows.Count];
                KernelSets.Default.RowNorms(rows.States, width, norms);
                (_sum, _rows) = (_sum + norms.Sum(), _rows + rows.Count);
            }

            public override void Merge(Accumulator other) => (_sum, _rows) = (_sum + ((State)other)._sum, _rows + ((State)other)._rows);

            public override CellResult Finish() => new(("mean_norm", [_sum / _rows]));
        }
    }
}
