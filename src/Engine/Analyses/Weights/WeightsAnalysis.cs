using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Layers;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>Is there a sparse ticket, what do two adapters share, and what is left of a drift after a transplant of a part of the weights?</summary>
/// <remarks>Definitions: docs/weights.md. Lottery tickets and masks at chance: arXiv 2006.07014; subspaces: 2511.02022, 2106.09685.</remarks>
/// <param name="request">What is asked.</param>
/// <param name="progress">Told how many adapters and pairs were looked at; or null.</param>
/// <param name="cancellationToken">Ends looking at weights.</param>
internal sealed class WeightsAnalysis(WeightsRequest request, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default) : IAnalysis
{
    // A masked adapter is of full rank: beyond so many coordinates it would be as large as a model.
    private const long MostMaskedCoordinates = 1 << 26;

    // Preferences closer than this, in nats a token, are no change of behaviour that could be divided.
    private const double SmallestPreference = 0.02;
    private const double MaskOfOther = 0.1;

    private static readonly double[] Shares = [0.01, 0.05, 0.1, 0.25, 0.5];
    private static readonly int[] Ranks = [1, 2, 4];

    private readonly List<Row> _rows = [];
    private WeightStudy? _study;
    private LayerProbe? _probe;
    private Variant? _full;
    private LoraAdapter? _adapter;

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _study = WeightStudy.Of(request, progress, cancellationToken);
        _probe = new LayerProbe(context, [], request.Pairs);
        AdapterSource source = request.Adapters[0];
        _adapter = context.Read(source);
        _full = Variant.Of(source);
        string name = _study.Name(source);
        if (Maskable)
        {
            foreach (double share in Shares)
            {
                Add($"top {Text(share)} of |dW|, all modules together", share, null, new WeightMask(WeightMaskKind.Largest, share),
                    [.. Draws(draw => Part(source, new WeightMask(WeightMaskKind.Random, share, request.Seed + draw)))]);
            }
        }

        foreach (int rank in Ranks.Where(rank => rank < _adapter.Tensors.Max(t => t.Rank)))
        {
            _rows.Add(new Row(
                $"top {rank} singular directions of every module", null, rank, new Variant([new VariantTerm(source, Directions: new WeightDirections(rank))]),
                [.. Draws(draw => new Variant([new VariantTerm(source, Directions: new WeightDirections(rank, request.Seed + draw))]))]));
        }

        if (Maskable)
        {
            foreach (AdapterSource other in Others())
                Add($"{name}'s values on the top {100 * MaskOfOther:0}% mask of {_study.Name(other)}", MaskOfOther, null, new WeightMask(WeightMaskKind.Largest, MaskOfOther, Of: other), []);
        }

        yield return new[] { Variant.Base, _full }.Concat(_rows.Select(row => row.Part)).SelectMany(variant => _probe.Ends(variant).Concat(_probe.LogLikelihoods(variant, chats: false)))
            .Concat(_rows.SelectMany(row => row.Random).SelectMany(_probe.Ends));

        void Add(string keep, double share, int? rank, WeightMask mask, Variant[] random) => _rows.Add(new Row(keep, share, rank, Part(source, mask), random));
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        Findings weights = _study!.ToFindings(context.Header);
        AdapterSource source = request.Adapters[0];
        string name = _study.Name(source);
        Displacement here = _probe!.Drift(_full!, context.Layer), last = _probe.Drift(_full!, _probe.Last);
        double? preferenceBase = _probe.Preference(Variant.Base), preferenceFull = _probe.Preference(_full!);
        bool behaves = preferenceFull - preferenceBase is { } change && Math.Abs(change) >= SmallestPreference;
        double square = _adapter!.FrobeniusNorms().Total;
        square *= square;
        Measured[] measured = [.. _rows.Select(row => new Measured(
            row, NormShare(context, row, square), Left(row.Part, context.Layer, here), Left(row.Part, _probe.Last, last),
            behaves ? (_probe.Preference(row.Part) - preferenceBase) / (preferenceFull - preferenceBase) : null,
            [.. row.Random.Select(random => Left(random, context.Layer, here))], [.. row.Random.Select(random => Left(random, _probe.Last, last))]))];
        var notes = new List<Remark>(weights.Notes);
        if (request.Pairs.Count == 0) notes.Add(new Remark("no-pairs", "There are no pairs of answers: 'preference_left' is null."));
        else if (!behaves) notes.Add(new Remark("no-behaviour", $"{name} changes the preference by less than {Text(SmallestPreference)} nats a token: 'preference_left' is null."));
        if (!Maskable) notes.Add(new Remark("masks-too-large", $"{name} changes more than {MostMaskedCoordinates >> 20} million coordinates: masked adapters would be of full rank and as large as a model, and only singular directions are transplanted."));
        if (!(here.Magnitude > 0)) notes.Add(new Remark("no-drift", $"{name} has no drift at layer {context.Layer}: nothing is left of nothing, and 'left' is null."));
        weights.Data["transplant"] = new JsonObject
        {
            ["adapter"] = name,
            ["path"] = source.Path,
            ["layer"] = context.Layer,
            ["last_layer"] = _probe.Last,
            ["preference_base"] = FindingsData.Number(preferenceBase),
            ["preference_full"] = FindingsData.Number(preferenceFull),
            ["rows"] = new JsonArray([.. measured.Select(m => (JsonNode?)m.ToJson(context.Layer))]),
        };
        return weights with
        {
            Header = context.Header,
            Conclusion = string.Join('\n', new[] { weights.Conclusion, Sentence(name, measured, context.Layer) }.Where(sentence => sentence.Length > 0)),
            Tables = [.. weights.Tables, Table(context, name, measured)],
            Curves = [.. weights.Curves, .. Curves(context, name, measured)],
            Notes = notes,
        };
    }

    private bool Maskable => _adapter!.Tensors.Sum(t => (long)t.InputSize * t.OutputSize) <= MostMaskedCoordinates;

    // Of the other runs' last checkpoints the one whose change is most alike, and the one whose is least: the control.
    private IReadOnlyList<AdapterSource> Others()
    {
        string own = _study!.RunOf(request.Adapters[0]);
        (AdapterSource Other, double Cosine)[] others = [.. _study.WithFirst.Where(pair => _study.RunOf(pair.Other) != own && _study.Name(pair.Other) == _study.RunOf(pair.Other)).OrderByDescending(pair => pair.Cosine)];
        return others.Length < 2 ? [.. others.Select(pair => pair.Other)] : [others[0].Other, others[^1].Other];
    }

    private IEnumerable<Variant> Draws(Func<int, Variant> variant) => Enumerable.Range(0, request.Draws).Select(variant);

    private static Variant Part(AdapterSource source, WeightMask mask) => new([new VariantTerm(source, Mask: mask)]);

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);

    private double NormShare(AnalysisContext context, Row row, double square)
    {
        VariantTerm term = row.Part.Terms[0];
        LoraAdapter? part = term.Directions is { } directions ? WeightChanges.Along(_adapter!, directions)
            : WeightChanges.Masked(_adapter!, term.Mask!, term.Mask!.Of == null ? null : context.Read(term.Mask.Of));
        double norm = part?.FrobeniusNorms().Total ?? 0;
        return norm * norm / square;
    }

    private double? Left(Variant variant, int layer, Displacement full) => _probe!.Drift(variant, layer).ShareOf(full);

    private static string Sentence(string name, Measured[] measured, int layer)
    {
        Measured? mask = Array.Find(measured, m => m.Row is { Share: 0.1, Random.Length: > 0 }), direction = Array.Find(measured, m => m.Row.Rank == 1);
        var parts = new List<string>();
        if (mask is { Here: { } left }) parts.Add($"the largest 10% of its coordinates keep {Percent(left)} of the drift at layer {layer} (random 10%: {Percent(mask.RandomHere.Average()!.Value)}){Behaviour(mask)}");
        if (direction is { Here: { } kept }) parts.Add($"the first singular direction of each weight keeps {Percent(kept)} (a random one of them: {Percent(direction.RandomHere.Average()!.Value)}){Behaviour(direction)}");
        return parts.Count == 0 ? "" : $"{name}: {string.Join("; ", parts)}.";

        static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0}%");
        static string Behaviour(Measured m) => m.Preference is { } preference ? $" and {Percent(preference)} of the behaviour" : "";
    }

    private FindingsTable Table(AnalysisContext context, string name, Measured[] measured) => new(
        $"{name}: what is left when only a part of its weight change is put into the base",
        [
            new("kept"), new("of ||dW||^2", "0.000"), new($"left at layer {context.Layer}", "0.000"), new("random part", "0.000"), new("se", "0.000"),
            new($"left at layer {_probe!.Last}", "0.000"), new("random part", "0.000"), new("of the behaviour", "0.000"),
        ],
        [.. measured.Select(m => (IReadOnlyList<object?>)
            [m.Row.Keep, m.NormShare, m.Here, m.RandomHere.Length == 0 ? null : m.RandomHere.Average(), Error(m.RandomHere), m.Last, m.RandomLast.Length == 0 ? null : m.RandomLast.Average(), m.Preference])]);

    private static FindingsCurve[] Curves(AnalysisContext context, string name, Measured[] measured)
    {
        Measured[] masks = [.. measured.Where(m => m.Row is { Share: not null, Random.Length: > 0 })];
        if (masks.Length == 0) return [];
        string plot = $"left at layer {context.Layer} when a mask of the coordinates is kept";
        double[] x = [0, .. masks.Select(m => m.Row.Share!.Value), 1];
        return
        [
            new FindingsCurve(plot, $"{name}, largest", "share of the coordinates", "share of the drift left", x, [0, .. masks.Select(m => m.Here ?? double.NaN), 1]),
            new FindingsCurve(plot, $"{name}, random", "share of the coordinates", "share of the drift left", x, [0, .. masks.Select(m => m.RandomHere.Average() ?? double.NaN), 1]),
        ];
    }

    private static double? Error(double?[] values)
    {
        double[] known = [.. values.OfType<double>()];
        return known.Length < 2 ? null : Sample.StandardError(known);
    }

    private sealed record Row(string Keep, double? Share, int? Rank, Variant Part, Variant[] Random);

    private sealed record Measured(Row Row, double NormShare, double? Here, double? Last, double? Preference, double?[] RandomHere, double?[] RandomLast)
    {
        internal JsonObject ToJson(int layer)
        {
            string at = string.Create(CultureInfo.InvariantCulture, $"{layer}"), kind = Row.Rank == null ? "mask" : "directions";
            var row = new JsonObject { ["keep"] = Row.Keep };
            if (Row.Share is { } share) row["share"] = share;
            if (Row.Rank is { } rank) row["rank"] = rank;
            row["norm_share"] = FindingsData.Number(NormShare);
            row[$"left_at_{at}"] = FindingsData.Number(Here);
            row["left_at_last"] = FindingsData.Number(Last);
            row["preference_left"] = FindingsData.Number(Preference);
            if (RandomHere.Length > 0)
            {
                row[$"random_{kind}_draws"] = RandomHere.Length;
                row[$"random_{kind}_left_at_{at}_mean"] = FindingsData.Number(RandomHere.Average());
                row[$"random_{kind}_left_at_{at}_se"] = FindingsData.Number(Error(RandomHere));
                row[$"random_{kind}_left_at_last_mean"] = FindingsData.Number(RandomLast.Average());
                row[$"random_{kind}_left_at_last_se"] = FindingsData.Number(Error(RandomLast));
            }

            return row;
        }
    }
}
