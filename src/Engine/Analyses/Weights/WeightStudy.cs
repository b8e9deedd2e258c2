using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>What the weights of adapters say by themselves, without a model: how sparse each is, and what pairs have in common.</summary>
/// <remarks>Definitions: docs/weights.md. Adapters are read one weight at a time; the full matrices are never formed.</remarks>
internal sealed class WeightStudy
{
    // A random matrix is drawn from at most so many weights, of at most so many rows and columns each.
    private const int MostRandomModules = 16;
    private const int MostRandomSide = 512;

    private readonly WeightsRequest _request;
    private readonly Dictionary<string, (string Name, string Run, string Step)> _names;
    private readonly List<Remark> _notes = [];
    private readonly List<SingleWeights> _singles = [];
    private readonly List<PairWeights> _pairs = [];

    private WeightStudy(WeightsRequest request)
    {
        _request = request;
        _names = AdapterNames.Short(request.Adapters);
    }

    /// <summary>The pairs whose first adapter is the first one of all, by the second: cosine of the weight changes.</summary>
    internal IReadOnlyList<(AdapterSource Other, double Cosine)> WithFirst =>
        [.. _pairs.Where(pair => pair.A == _request.Adapters[0]).Select(pair => (pair.B, pair.Cosine))];

    /// <summary>Takes the measure of all of them.</summary>
    /// <exception cref="InputFileException">An adapter cannot be read, or two of them do not belong to one model.</exception>
    /// <param name="request">What is asked.</param>
    /// <param name="progress">Told how many adapters and pairs are done; or null.</param>
    /// <param name="cancellationToken">Checked between weights.</param>
    internal static WeightStudy Of(WeightsRequest request, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var study = new WeightStudy(request);
        List<LowRankFile> files = [];
        try
        {
            foreach (AdapterSource adapter in request.Adapters) files.Add(LowRankFile.Open(adapter.Path));
            study.Run(files, progress, cancellationToken);
            return study;
        }
        finally
        {
            files.ForEach(file => file.Dispose());
        }
    }

    internal string Name(AdapterSource adapter) => _names[adapter.Path].Name;

    internal string RunOf(AdapterSource adapter) => _names[adapter.Path].Run;

    /// <summary>Findings of the weights alone.</summary>
    /// <param name="header">What was measured with; null without a model.</param>
    internal Findings ToFindings(FindingsHeader? header)
    {
        double share90 = _singles[0].Rank is { } rank ? GaussianEnergyShare.Of(0.9, rank) : GaussianEnergyShare.Of(0.9);
        return new Findings
        {
            Header = header,
            Conclusion = string.Join('\n', _singles.Select(single => single.Sentence(share90)).Concat(_pairs.Select(pair => pair.Sentence()))),
            Data = new JsonObject
            {
                ["single"] = new JsonObject(_singles.Select(single => KeyValuePair.Create(single.Name, (JsonNode?)single.ToJson()))),
                ["pairs"] = new JsonArray([.. _pairs.Select((pair, i) => (JsonNode?)pair.ToJson(withModules: i == 0))]),
                ["reference_shares_90"] = ReferenceShares(),
            },
            Tables = [SingleTable(share90), .. _pairs.Count == 0 ? [] : new[] { PairTable() }],
            Curves = Curves(),
            Notes = _notes,
        };
    }

    private void Run(List<LowRankFile> files, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        (int A, int B)[] pairs = [.. _request.AllPairs ? Every(files.Count) : OfFirstRun()];
        int done = 0, total = files.Count + pairs.Length;
        Told();
        WeightCensus[] censuses = [.. files.Select(file =>
        {
            var census = WeightCensus.Take(file, file.Modules, cancellationToken);
            done++;
            Told();
            return census;
        })];
        for (int i = 0; i < files.Count; i++)
        {
            if (!(censuses[i].All.Squares > 0)) throw new InputFileException(files[i].Path, "changes nothing: all of its products B A are zero; give a checkpoint that was trained.");
            _singles.Add(new SingleWeights(_names[_request.Adapters[i].Path].Name, _request.Adapters[i], censuses[i]));
        }

        foreach ((int a, int b) in pairs)
        {
            _pairs.Add(Compare(files, censuses, a, b, cancellationToken));
            done++;
            Told();
        }

        if (_pairs.Count == 0) _notes.Add(new Remark("one-adapter", "There is one adapter: nothing is compared, and 'pairs' is empty."));
        if (_pairs.Count > 1)
            _notes.Add(new Remark("modules-of-first-pair", $"Figures of single weights are given for the first pair, {_pairs[0].Name}; 'modules' is null for the others."));
        PairWeights[] alike = [.. _pairs.Where(pair => pair.RowOverlap > PairWeights.SameInitialisation)];
        if (alike.Length > 0)
        {
            _notes.Add(new Remark("same-initialisation", string.Create(CultureInfo.InvariantCulture,
                $"The row spaces of {string.Join("; ", alike.Select(pair => pair.Name))} overlap by more than {PairWeights.SameInitialisation}: such adapters start from the same random A (the same seed), and row spaces and masks then overlap for that reason alone, whatever was trained. Column spaces and cosines inform.")));
        }

        void Told() => progress?.Report(new ScanProgress("looking at weights", done, total));
    }

    private static IEnumerable<(int A, int B)> Every(int count) => Enumerable.Range(0, count).SelectMany(a => Enumerable.Range(a + 1, count - a - 1).Select(b => (a, b)));

    // Runs are compared at their last step, or at the same one where the first run has it, and the first adapter with its own run's other steps.
    private IEnumerable<(int A, int B)> OfFirstRun()
    {
        (string Name, string Run, string Step)[] of = [.. _request.Adapters.Select(adapter => _names[adapter.Path])];
        int[] others = [.. Enumerable.Range(1, of.Length - 1)];
        (int A, int B)[] across = [.. others.Where(b => of[b].Run != of[0].Run).Select(b => (IsLast(0) && IsLast(b) ? 0 : Math.Max(0, Array.FindIndex(of, o => o.Run == of[0].Run && o.Step == of[b].Step)), b))];
        return across.Where(pair => pair.A == 0).Concat(across.Where(pair => pair.A != 0)).Concat(others.Where(b => of[b].Run == of[0].Run).Select(b => (0, b)));

        bool IsLast(int i) => of[i].Name == of[i].Run;
    }

    private PairWeights Compare(List<LowRankFile> files, WeightCensus[] censuses, int a, int b, CancellationToken cancellationToken)
    {
        LowRankFile first = files[a], second = files[b];
        string name = $"{_singles[a].Name} . {_singles[b].Name}";
        if (first.RowOrder != second.RowOrder)
            throw new InputFileException(second.Path, $"has its rows in another order than {first.Path} ({second.RowOrder} and {first.RowOrder}); give both as PEFT folders, or both as GGUF files.");
        if (first.BaseModel is { } base1 && second.BaseModel is { } base2 && base1 != base2)
            _notes.Add(new Remark("different-bases", $"{name}: they name different base models, {base1} and {base2}; figures of pairs mean something only where these are the same."));
        Dictionary<string, LowRankModule> others = second.Modules.ToDictionary(m => m.Name);
        LowRankModule[] shared = [.. first.Modules.Where(m => others.ContainsKey(m.Name))];
        if (shared.Length == 0) throw new InputFileException(second.Path, $"changes no weight that {first.Path} changes; there is nothing to compare.");
        LowRankModule[] sharedOther = [.. shared.Select(m => others[m.Name])];
        foreach ((LowRankModule x, LowRankModule y) in shared.Zip(sharedOther))
        {
            if (x.Inputs != y.Inputs || x.Outputs != y.Outputs)
                throw new InputFileException(second.Path, $"changes {x.Name} of {y.Outputs} x {y.Inputs}, but {first.Path} one of {x.Outputs} x {x.Inputs}; they were trained on different base models.");
        }

        WeightCensus own = shared.Length == first.Modules.Count ? censuses[a] : WeightCensus.Take(first, shared, cancellationToken);
        WeightCensus other = shared.Length == second.Modules.Count ? censuses[b] : WeightCensus.Take(second, sharedOther, cancellationToken);
        if (shared.Length < first.Modules.Count || shared.Length < second.Modules.Count)
        {
            _notes.Add(new Remark("unshared-weights",
                $"{name}: {first.Modules.Count} and {second.Modules.Count} weights are changed, {shared.Length} of them by both; masks and subspaces are of these, the cosine is of all."));
        }

        double inner = 0;
        var subspaces = new List<PairSubspaces>();
        foreach ((LowRankModule x, LowRankModule y) in shared.Zip(sharedOther))
        {
            cancellationToken.ThrowIfCancellationRequested();
            (float[] A, float[] B) xs = first.Read(x), ys = second.Read(y);
            inner += x.Scale * y.Scale * LowRankProduct.Inner<float>(xs.A, xs.B, x.Rank, ys.A, ys.B, y.Rank);
            if (PairSubspaces.Of(xs, x, ys, y) is { } found) subspaces.Add(found);
        }

        double cosine = inner / Math.Sqrt(_singles[a].Square * _singles[b].Square);
        return new PairWeights(name, _request.Adapters[a], _request.Adapters[b], cosine, PairMasks.Of((first, own), (second, other), _request.Draws, _request.Seed, cancellationToken), subspaces);
    }

    private JsonObject ReferenceShares()
    {
        var shares = new JsonObject { ["gaussian_full_rank"] = FindingsData.Number(GaussianEnergyShare.Of(0.9)) };
        foreach (int rank in _singles.SelectMany(single => single.Census.Modules).Select(m => m.Module.Rank).Distinct().Order())
            shares[string.Create(CultureInfo.InvariantCulture, $"gaussian_rank_{rank}")] = FindingsData.Number(GaussianEnergyShare.Of(0.9, rank));
        double[] drawn = DrawnShares();
        shares["random_factors"] = new JsonObject
        {
            ["like"] = _singles[0].Name,
            ["draws"] = drawn.Length,
            ["mean"] = FindingsData.Number(drawn.Average()),
            ["sd"] = FindingsData.Number(Sample.Deviation(drawn)),
        };
        return shares;
    }

    // The same share of products of Gaussian factors of the first adapter's own shapes: how far such a share strays by chance.
    private double[] DrawnShares()
    {
        LowRankModule[] like = [.. _singles[0].Census.Modules.Select(m => m.Module).Take(MostRandomModules)];
        return [.. Enumerable.Range(0, _request.Draws).Select(draw =>
        {
            var random = new Random(unchecked((_request.Seed * 397) ^ draw));
            var magnitudes = new Magnitudes();
            foreach (LowRankModule module in like)
            {
                int inputs = Math.Min(module.Inputs, MostRandomSide), outputs = Math.Min(module.Outputs, MostRandomSide);
                float[] a = [.. Enumerable.Range(0, module.Rank * inputs).Select(_ => (float)Normal.Next(random))];
                float[] b = [.. Enumerable.Range(0, module.Rank * outputs).Select(_ => (float)Normal.Next(random))];
                var rows = new ModuleRows(a, b, module.Rank, 1);
                float[] row = new float[inputs];
                for (int o = 0; o < outputs; o++)
                {
                    rows.Row(o, row);
                    magnitudes.Add(row);
                }
            }

            magnitudes.Close();
            return magnitudes.ShareHolding(0.9);
        })];
    }

    private FindingsTable SingleTable(double random) => new(
        "how sparse: share of the coordinates that holds 90% of the squared norm, beside random matrices",
        [
            new("adapter"), new("coordinates", "#,0"), new("||dW||", "0.000"), new("90% in", "0.0%"), new("random, same rank", "0.0%"), new("random, full rank", "0.0%"), new("50% in", "0.0%"),
            new("stable rank, median", "0.0"), new("of rank", "0"),
        ],
        [.. _singles.Select(s => (IReadOnlyList<object?>)
        [
            s.Name, s.Census.All.Count, Math.Sqrt(s.Square), s.Share90, s.Rank is { } rank ? GaussianEnergyShare.Of(0.9, rank) : random, GaussianEnergyShare.Of(0.9), s.Share50,
            Quantile.OfSorted([.. s.Census.Modules.Select(m => m.StableRank).Where(double.IsFinite).Order()], 0.5), s.Rank,
        ])]);

    private FindingsTable PairTable() => new(
        "pairs: overlap of masks (Jaccard) and of subspaces (mean cos^2), beside chance",
        [
            new("pair"), new("cosine", "+0.000;-0.000;0.000"), new("1% masks", "0.000"), new("chance", "0.000"), new("permuted", "0.000"), new("10% masks", "0.000"), new("chance", "0.000"), new("permuted", "0.000"),
            new("signs, 10%", "0.000"), new("columns", "0.000"), new("chance", "0.000"), new("rows", "0.000"), new("chance", "0.000"),
        ],
        [.. _pairs.Select(p => (IReadOnlyList<object?>)
        [
            p.Name, p.Cosine, p.Masks[0].Jaccard, p.Masks[0].Chance, p.Masks[0].Null.Average(), p.Masks[^1].Jaccard, p.Masks[^1].Chance, p.Masks[^1].Null.Average(), p.Masks[^1].Signs,
            p.ColumnOverlap, p.ChanceColumn, p.RowOverlap, p.ChanceRow,
        ])]);

    private FindingsCurve[] Curves()
    {
        const string Plot = "squared norm held by the largest coordinates", X = "share of the coordinates", Y = "share of the squared norm";
        double[] shares = [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
        IEnumerable<FindingsCurve> own = _singles.Select(s => new FindingsCurve(Plot, s.Name, X, Y, shares, [.. shares.Select(share => s.Census.All.EnergyOf(WeightCensus.Kept(share, s.Census.All.Count)))]));
        double[] energies = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999];
        int? rank = _singles[0].Rank;
        return
        [
            .. own,
            new FindingsCurve(Plot, rank is { } r ? string.Create(CultureInfo.InvariantCulture, $"random, rank {r}") : "random", X, Y, [0, .. energies.Select(e => GaussianEnergyShare.Of(e, rank)), 1], [0, .. energies, 1]),
        ];
    }
}
