using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>In which band of layers does the drift live, and which layers are robust to noise?</summary>
/// <remarks>Definitions: docs/layers.md.</remarks>
/// <param name="request">What is asked.</param>
internal sealed class LayersAnalysis(LayersRequest request) : IAnalysis
{
    private const int RandomDraws = 20;

    // Full random matrices of a wider model would be larger than the model's adapters by orders of magnitude.
    private const int WidestFullNoise = 1024;

    // Preferences closer than this, in nats a token, are no change of behaviour that could be divided.
    private const double SmallestPreference = 0.02;

    private readonly Dictionary<string, string> _names = AdapterNames.Of(request.Adapters);
    private readonly List<Run> _runs = [];
    private LayerProbe? _probe;
    private PoleSeparation? _poles;

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _probe = new LayerProbe(context, request.Chats, request.Pairs);
        _poles = new PoleSeparation(context, request.Seed);
        IReadOnlyList<WeightNoiseKind> kinds = request.NoiseKinds.Count > 0 ? request.NoiseKinds
            : context.HiddenSize <= WidestFullNoise ? [WeightNoiseKind.Gaussian, WeightNoiseKind.LowRank] : [WeightNoiseKind.LowRank];
        foreach (AdapterSource source in request.Adapters)
        {
            LoraAdapter adapter = context.Read(source);
            var bands = new LayerBands(source, adapter, context.LayerCount, request.Pieces);
            (IReadOnlyDictionary<string, double> norms, _) = adapter.FrobeniusNorms();
            double[] squares = new double[context.LayerCount];
            foreach ((string tensor, double norm) in norms)
            {
                if (WeightName.BlockOf(tensor) is { } block) squares[block] += norm * norm;
            }

            NoiseGrid? noise = request.NoiseSizes.Count == 0 ? null : new NoiseGrid(source, adapter, _probe, bands, context.Layer, request, kinds);
            _runs.Add(new Run(_names[source.Path], source, bands, squares, noise));
        }

        yield return [.. _probe.Sweep(Variant.Base), .. _probe.LogLikelihoods(Variant.Base, chats: true), .. _poles.Cells, .. _runs.SelectMany(Bands), .. request.Trajectories.SelectMany(run => run.Cells(_probe))];
        if (request.NoiseSizes.Count > 0) yield return _runs.SelectMany(run => run.Noise!.Cells);
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        Reading[] readings = [.. _runs.Select(run => Read(context, run))];
        NoiseReading[] noise = [.. _runs.Where(run => run.Noise != null).Select(run => run.Noise!.Read(run.Name))];
        int[] layers = [.. _probe!.Layers];
        var data = new JsonObject
        {
            ["layers"] = FindingsData.Integers(layers),
            ["n0"] = FindingsData.Numbers(layers.Select(_probe.Norm)),
            ["last_layer"] = _probe.Last,
            ["tokens"] = new JsonObject
            {
                ["chats"] = FindingsData.Integers(request.Chats.Select(chat => chat.Tokens.Length)),
                ["pairs"] = new JsonArray([.. request.Pairs.Select(pair => (JsonNode?)FindingsData.Integers([pair.Good.Tokens.Length, pair.Bad.Tokens.Length]))]),
            },
            ["runs"] = new JsonArray([.. readings.Select(r => (JsonNode?)r.Data)]),
            ["preference_base"] = FindingsData.Number(_probe.Preference(Variant.Base)),
            ["loglik_chat_base"] = FindingsData.Number(_probe.Chat(Variant.Base)),
            ["separability"] = _poles!.ToJson(),
        };
        if (request.Trajectories.Count > 0) data["by_step"] = new JsonArray([.. request.Trajectories.Select(run => (JsonNode?)run.ToJson(_probe))]);
        if (noise.Length > 0)
        {
            data["definition"] = "N ~ N(0,1) (gaussian) or the product of two Gaussian factors of the adapter's rank (rank_R); per weight N -= dW <N,dW>/<dW,dW>, N *= e ||dW||_F / ||N||_F; "
                + "model = base + dW + N on the named layers; left = x' . x / x . x; mean, sd and se over draws";
            data["half_lost_at"] = new JsonObject(noise.Select((n, i) => KeyValuePair.Create(_runs[i].Name, (JsonNode?)n.HalfLostAt)));
            data["rows"] = new JsonArray([.. noise.SelectMany(n => n.Rows).Select(row => row!.DeepClone())]);
        }

        return new Findings
        {
            Header = context.Header,
            Conclusion = string.Join('\n', readings.Select(r => r.Conclusion).Concat(noise.Select(n => n.Sentence)).Where(sentence => sentence.Length > 0)),
            Data = data,
            Tables = [.. readings.SelectMany(r => r.Tables), .. new[] { _poles.Table() }.OfType<FindingsTable>(), .. noise.Select(n => n.Table)],
            Curves = [.. readings.SelectMany(r => r.Curves), .. noise.SelectMany(n => n.Curves)],
            Grids = [.. request.Trajectories.Select(run => run.ToGrid(_probe)), .. readings.Select(r => r.Grid)],
            Notes = Notes(context),
        };
    }

    private IEnumerable<Cell> Bands(Run run)
    {
        // The whole adapter is one of the bands: what is asked of it is asked once.
        var asked = new HashSet<Variant> { run.Bands.Full };
        var chats = new HashSet<Variant> { run.Bands.Full };
        foreach ((int First, int Last) band in run.Bands.All)
        {
            chats.Add(run.Bands.Keep(band));
            if (run.Bands.Pieces.Contains(band)) chats.Add(run.Bands.Drop(band));
            asked.Add(run.Bands.Keep(band));
            asked.Add(run.Bands.Drop(band));
        }

        asked.Remove(Variant.Base);
        return asked.SelectMany(variant =>
            (variant == run.Bands.Full ? _probe!.Sweep(variant) : _probe!.Ends(variant)).Concat(_probe.LogLikelihoods(variant, chats.Contains(variant))));
    }

    private List<Remark> Notes(AnalysisContext context)
    {
        var notes = new List<Remark>
        {
            new("bands-above", $"Blocks above layer {context.Layer} cannot move what is read there: what they keep there is 0; 'left_at_last' and the preference say what they do."),
            new("cost-of-dropped-bands", "What dropping several pieces costs the conversations is not measured: 'capability_change' is null there."),
        };
        if (request.Chats.Count == 0) notes.Add(new Remark("no-chats", "There are no conversations: 'capability_change' is null."));
        if (request.Pairs.Count == 0) notes.Add(new Remark("no-pairs", "There are no pairs of answers: preferences are null, and nothing is said of behaviour."));
        if (_poles!.Missing is { } missing) notes.Add(missing);
        foreach (Run run in _runs.Where(_ => context.IsApproximate))
        {
            int[] small = [.. _probe!.Layers.Where(layer => _probe.Drift(run.Bands.Full, layer).MeanActivationChange < 0.01)];
            if (small.Length > 0)
            {
                notes.Add(new Remark("near-rounding",
                    $"{run.Name}: at layer {string.Join(", ", small)} the mean change is below 1% of the activation norm, near the error of the fast mode or of quantized weights (0.2% and more); a precise run on an F32 or F16 model is surer."));
            }
        }

        if (_probe!.Layers.Count < context.LayerCount)
            notes.Add(new Remark("some-layers", $"There are directions for {_probe.Layers.Count} of {context.LayerCount} layers only; 'last' is layer {_probe.Last}."));
        foreach (Run run in _runs.Where(run => run.Bands.ChangesOutside))
            notes.Add(new Remark("outside-of-blocks", $"{run.Name} also changes weights in no block (embeddings or head): they are outside of every band that is kept, and stay when a band is dropped."));
        if (_runs.Count > 0 && _runs[0].Bands.Pieces.Count < context.LayerCount)
            notes.Add(new Remark("pieces", $"The {context.LayerCount} blocks are cut into {_runs[0].Bands.Pieces.Count} pieces; bands begin and end between them."));
        return notes;
    }

    private Reading Read(AnalysisContext context, Run run)
    {
        int[] layers = [.. _probe!.Layers];
        Displacement[] sweep = [.. layers.Select(layer => _probe.Drift(run.Bands.Full, layer))];
        Displacement here = _probe.Drift(run.Bands.Full, context.Layer), last = _probe.Drift(run.Bands.Full, _probe.Last);
        double? preferenceBase = _probe.Preference(Variant.Base), preferenceFull = _probe.Preference(run.Bands.Full), chatBase = _probe.Chat(Variant.Base);
        Band[] keep = [.. run.Bands.All.Select(band => Measure(band, run.Bands.Keep(band), chats: true, kept: true))];
        Band[] drop = [.. run.Bands.All.Select(band => Measure(band, run.Bands.Drop(band), chats: run.Bands.Pieces.Contains(band), kept: false))];
        (double Mean, double Deviation)[] byChance = [.. sweep.Select(drift => RandomMagnitude(drift, context.Directions.Traits.Count))];
        var data = new JsonObject
        {
            ["adapter"] = run.Name,
            ["path"] = run.Source.Path,
            ["layer"] = context.Layer,
            ["drift"] = new JsonArray([.. sweep.Select(d => (JsonNode?)FindingsData.ByName(context.Directions.Traits, d.PerTrait))]),
            ["drift_magnitude"] = FindingsData.Numbers(sweep.Select(d => d.Magnitude)),
            ["random_direction_magnitude"] = FindingsData.Numbers(byChance.Select(c => c.Mean)),
            ["random_direction_magnitude_sd"] = FindingsData.Numbers(byChance.Select(c => c.Deviation)),
            ["mean_activation_change"] = FindingsData.Numbers(sweep.Select(d => d.MeanActivationChange)),
            ["delta_norm"] = FindingsData.Numbers(layers.Select(layer => Math.Sqrt(run.Squares[layer]))),
            ["consistency"] = FindingsData.Numbers(sweep.Select(Consistency)),
            ["keep"] = new JsonArray([.. keep.Select(band => (JsonNode?)band.ToJson(context.Layer))]),
            ["drop"] = new JsonArray([.. drop.Select(band => (JsonNode?)band.ToJson(context.Layer))]),
            ["preference_full"] = FindingsData.Number(preferenceFull),
            ["capability_change_full"] = FindingsData.Number(_probe.Chat(run.Bands.Full) - chatBase),
        };
        Band[] pieces = [.. keep.Where(band => run.Bands.Pieces.Contains((band.First, band.Last)))];
        Band[] dropped = [.. drop.Where(band => run.Bands.Pieces.Contains((band.First, band.Last)))];
        bool behaves = preferenceFull - preferenceBase is { } change && Math.Abs(change) >= SmallestPreference;
        double? Behaviour(Band band) => behaves ? (band.Preference - preferenceBase) / (preferenceFull - preferenceBase) : null;
        return new Reading(
            data, Conclude(),
            [
                SweepTable(context, run, layers, sweep, byChance),
                new FindingsTable(
                    $"{run.Name}: one piece of the blocks kept alone, and dropped alone",
                    [
                        new("blocks"), new($"kept: left at layer {context.Layer}", "0.000"), new($"at layer {_probe.Last}", "0.000"), new("of the behaviour", "0.000"), new("capability", "+0.0000;-0.0000;0.0000"),
                        new($"dropped: left at layer {context.Layer}", "0.000"), new($"at layer {_probe.Last}", "0.000"), new("of the behaviour", "0.000"), new("capability", "+0.0000;-0.0000;0.0000"),
                    ],
                    [.. pieces.Zip(dropped, (k, d) => (IReadOnlyList<object?>)
                        [NoiseGrid.Blocks([.. Enumerable.Range(k.First, k.Last - k.First + 1)]), k.Here, k.AtLast, Behaviour(k), k.Capability, d.Here, d.AtLast, Behaviour(d), d.Capability])]),
            ],
            [
                new FindingsCurve("drift by layer", run.Name, "layer", "|x| / n0", [.. layers.Select(l => (double)l)], [.. sweep.Select(d => d.Magnitude)]),
                new FindingsCurve("drift by layer", $"{run.Name}, random directions", "layer", "|x| / n0", [.. layers.Select(l => (double)l)], [.. byChance.Select(c => c.Mean)])
                {
                    Low = [.. byChance.Select(c => c.Mean - (2 * c.Deviation))],
                    High = [.. byChance.Select(c => c.Mean + (2 * c.Deviation))],
                },
                PieceCurve("kept alone", pieces), PieceCurve("dropped alone", dropped),
            ],
            new FindingsGrid(
                $"{run.Name}: share of the drift at layer {context.Layer} left by a band alone", "last block", "first block",
                [.. run.Bands.Pieces.Select(p => (double)p.Last)], [.. run.Bands.Pieces.Select(p => (double)p.First)],
                [.. run.Bands.Pieces.Select(row => (IReadOnlyList<double>)[.. run.Bands.Pieces.Select(column => Array.Find(keep, b => b.First == row.First && b.Last == column.Last)?.Here ?? double.NaN)])]));

        Band Measure((int First, int Last) band, Variant variant, bool chats, bool kept)
        {
            Displacement drift = _probe.Drift(variant, context.Layer);
            double? share = drift.ShareOf(here);
            double magnitude = drift.Magnitude;

            // What lies above cannot move it; rounding in another graph must not say that it does.
            if (band.First > context.Layer)
            {
                magnitude = kept ? 0 : here.Magnitude;
                if (share != null) share = kept ? 0 : 1;
            }

            return new Band(band.First, band.Last, share, magnitude, _probe.Drift(variant, _probe.Last).ShareOf(last), _probe.Preference(variant), chats ? _probe.Chat(variant) - chatBase : null);
        }

        FindingsCurve PieceCurve(string what, Band[] bands) => new(
            $"one piece of the blocks kept or dropped: left at layer {context.Layer}", $"{run.Name} {what}", "first block of the piece", "share of the drift left",
            [.. bands.Select(b => (double)b.First)], [.. bands.Select(b => b.Here ?? double.NaN)]);

        string Conclude()
        {
            if (!(here.Magnitude > 0)) return $"{run.Name}: no drift at layer {context.Layer}, so no layer can carry it.";
            Band most = pieces.MaxBy(b => b.Here ?? double.NegativeInfinity)!;
            string blocks = NoiseGrid.Blocks([.. Enumerable.Range(most.First, most.Last - most.First + 1)]);
            string rest = behaves && Behaviour(most) is { } behaviour
                ? string.Create(CultureInfo.InvariantCulture, $"{100 * behaviour:0}% of the behaviour")
                : preferenceFull == null ? "of the behaviour nothing is known" : "the adapter hardly changes the behaviour";
            int peak = Array.IndexOf(sweep, sweep.MaxBy(d => d.Magnitude)), at = Array.IndexOf(layers, context.Layer);
            string chance = here.Magnitude > byChance[at].Mean + (2 * byChance[at].Deviation) ? "" : string.Create(CultureInfo.InvariantCulture,
                $" At layer {context.Layer} it is {here.Magnitude:0.000}, not clearly more than along random directions ({byChance[at].Mean:0.000} +- {byChance[at].Deviation:0.000}): the traits say little there.");
            return string.Create(CultureInfo.InvariantCulture,
                $"{run.Name}: {blocks} alone {(most.Last > most.First ? "keep" : "keeps")} {100 * most.Here:0}% of the drift at layer {context.Layer}, {100 * most.AtLast:0}% at layer {_probe.Last}; {rest}. The drift is largest at layer {layers[peak]} ({sweep[peak].Magnitude:0.000} n0, random directions {byChance[peak].Mean:0.000}).{chance}");
        }
    }

    // Mean over prompts of the drift along its own direction, over its deviation.
    private static double Consistency(Displacement drift) => drift.Magnitude / drift.PromptDeviation;

    // |x| along as many random directions as there are traits: what any direction sees of the mean change.
    private (double Mean, double Deviation) RandomMagnitude(Displacement drift, int traits)
    {
        var random = new Random(request.Seed);
        double[] direction = new double[drift.ActivationChange.Length];
        double[] magnitudes = [.. Enumerable.Range(0, RandomDraws).Select(_ =>
        {
            double square = 0;
            for (int k = 0; k < traits; k++)
            {
                Normal.Direction(random, direction);
                double along = TensorPrimitives.Dot(direction, drift.ActivationChange.AsSpan());
                square += along * along;
            }

            return Math.Sqrt(square);
        })];
        return (magnitudes.Average(), Sample.Deviation(magnitudes));
    }

    private static FindingsTable SweepTable(AnalysisContext context, Run run, int[] layers, Displacement[] sweep, (double Mean, double Deviation)[] byChance) => new(
        $"{run.Name}: by layer, in units of the layer's n0",
        [
            new("layer", "0"), .. context.Directions.Traits.Select(trait => new FindingsColumn(trait, "+0.000;-0.000;0.000")), new("|drift|", "0.000"), new("random directions", "0.000"), new("sd", "0.000"),
            new("mean change", "0.000"), new("||dW||", "0.000"), new("consistency", "0.00"),
        ],
        [.. layers.Select((layer, i) => (IReadOnlyList<object?>)
            [layer, .. sweep[i].PerTrait.Cast<object?>(), sweep[i].Magnitude, byChance[i].Mean, byChance[i].Deviation, sweep[i].MeanActivationChange, Math.Sqrt(run.Squares[layer]), Consistency(sweep[i])])]);

    private sealed record Run(string Name, AdapterSource Source, LayerBands Bands, double[] Squares, NoiseGrid? Noise);

    private sealed record Band(int First, int Last, double? Here, double Magnitude, double? AtLast, double? Preference, double? Capability)
    {
        internal JsonObject ToJson(int layer) => new()
        {
            ["first"] = First,
            ["last"] = Last,
            ["left_at_layer"] = FindingsData.Number(Here),
            [string.Create(CultureInfo.InvariantCulture, $"left_at_{layer}")] = FindingsData.Number(Here),
            [string.Create(CultureInfo.InvariantCulture, $"magnitude_at_{layer}")] = FindingsData.Number(Magnitude),
            ["left_at_last"] = FindingsData.Number(AtLast),
            ["preference"] = FindingsData.Number(Preference),
            ["capability_change"] = FindingsData.Number(Capability),
        };
    }

    private sealed record Reading(JsonObject Data, string Conclusion, IReadOnlyList<FindingsTable> Tables, IReadOnlyList<FindingsCurve> Curves, FindingsGrid Grid);
}
