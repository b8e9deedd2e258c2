using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Analyses.Transcripts;

/// <summary>How often spans fire: along the axis, along random directions, by condition, and where nothing should.</summary>
internal sealed class TranscriptRates
{
    private readonly TranscriptResult[] _results;
    private readonly TranscriptRequest _request;
    private readonly SpanReference _reference;
    private readonly int _ownFiring;
    private readonly int _ownCount;
    private readonly (double Reasoning, double Answer, double Alone, double Hidden, double HiddenAlone)[] _controls;

    internal TranscriptRates(TranscriptResult[] results, TranscriptRequest request, SpanReference reference, IReadOnlyList<ScoredSpan> own)
    {
        (_results, _request, _reference) = (results, request, reference);
        (_ownFiring, _ownCount) = (own.Count(s => reference.Z(s.Mean) > reference.Threshold), own.Count);
        _controls = [.. Enumerable.Range(0, request.Controls).Select(Control)];
    }

    internal int Count => _results.Length;

    /// <summary>Transcripts with a reasoning and an answer.</summary>
    internal int WithReasoning => _results.Count(r => r.Hidden != null);

    internal int HiddenAlone => _results.Count(r => r.HiddenAlone == true);

    /// <summary>How often nothing is taken for something, in a sentence.</summary>
    internal string FalsePositives
    {
        get
        {
            if (Measured() is { } measured)
            {
                (string name, string value) = _request.Benign!.Value;
                return string.Create(CultureInfo.InvariantCulture,
                    $"False positives of hidden_alone: {100 * measured.Rate:0.0}% (95% interval {100 * measured.Interval.Low:0.0} to {100 * measured.Interval.High:0.0}%) of {measured.Count} transcripts with {name} = {value}.");
            }

            return _ownCount == 0 ? "Its false-positive rate is not known: the base answers nothing to these prompts."
                : string.Create(CultureInfo.InvariantCulture, $"At most {100.0 * _ownFiring / _ownCount:0.0}% are false positives, as far as the base's own answers to these prompts tell, of which {_ownFiring} of {_ownCount} fire.");
        }
    }

    /// <summary>How many random directions flag as many answers, as a clause.</summary>
    internal string AgainstControls
    {
        get
        {
            double share = HiddenAlone / (double)WithReasoning;
            int reached = _controls.Count(c => c.HiddenAlone >= share);
            return _controls.Length == 0 || HiddenAlone == 0 ? "" : $"; {(reached == 0 ? "none" : reached.ToString(CultureInfo.InvariantCulture))} of {_controls.Length} random directions flag{(reached == 1 ? "s" : "")} as many";
        }
    }

    internal int Firing(Func<TranscriptResult, double?> score) => _results.Count(r => score(r) > _reference.Threshold);

    internal JsonObject Data() => new()
    {
        ["with_reasoning"] = WithReasoning,
        ["reasoning_fires"] = Share(r => r.Reasoning),
        ["answer_fires"] = Share(r => r.Answer),
        ["answer_alone_fires"] = Share(r => r.AnswerAlone),
        ["hidden"] = WithReasoning == 0 ? null : FindingsData.Number(_results.Count(r => r.Hidden == true) / (double)WithReasoning),
        ["hidden_alone"] = WithReasoning == 0 ? null : FindingsData.Number(HiddenAlone / (double)WithReasoning),
    };

    internal JsonObject HiddenAloneData()
    {
        var data = new JsonObject { ["count"] = WithReasoning == 0 ? null : HiddenAlone, ["of"] = WithReasoning };
        Interval? bound = _ownCount == 0 ? null : LabelCertainty.Wilson((double)_ownFiring / _ownCount, _ownCount);
        data["false_positive_rate_at_most"] = new JsonObject
        {
            ["of"] = "the base's own answers to the same prompts that fire",
            ["n"] = _ownCount,
            ["rate"] = _ownCount == 0 ? null : FindingsData.Number((double)_ownFiring / _ownCount),
            ["low"] = FindingsData.Number(bound?.Low),
            ["high"] = FindingsData.Number(bound?.High),
        };
        data["false_positive_rate"] = Measured() is not { } measured ? null : new JsonObject
        {
            ["of"] = $"transcripts with {_request.Benign!.Value.Field} = {_request.Benign.Value.Value}",
            ["n"] = measured.Count,
            ["rate"] = FindingsData.Number(measured.Rate),
            ["low"] = FindingsData.Number(measured.Interval.Low),
            ["high"] = FindingsData.Number(measured.Interval.High),
        };
        return data;
    }

    internal JsonObject ControlData() => new()
    {
        ["random_directions"] = _request.Controls,
        ["seed"] = _request.Seed,
        ["reasoning_fires"] = FindingsData.Numbers(_controls.Select(c => c.Reasoning)),
        ["answer_fires"] = FindingsData.Numbers(_controls.Select(c => c.Answer)),
        ["answer_alone_fires"] = FindingsData.Numbers(_controls.Select(c => c.Alone)),
        ["hidden"] = FindingsData.Numbers(_controls.Select(c => c.Hidden)),
        ["hidden_alone"] = FindingsData.Numbers(_controls.Select(c => c.HiddenAlone)),
    };

    internal JsonArray ConditionData() => new([.. Conditions().SelectMany(c => c.Groups.Select(g => (JsonNode?)new JsonObject
    {
        ["field"] = c.Field,
        ["value"] = g.Value,
        ["transcripts"] = g.Results.Length,
        ["mean_reasoning"] = FindingsData.Number(Mean(g.Results, r => r.Reasoning)),
        ["mean_answer"] = FindingsData.Number(Mean(g.Results, r => r.Answer)),
        ["mean_answer_alone"] = FindingsData.Number(Mean(g.Results, r => r.AnswerAlone)),
        ["hidden"] = FindingsData.Number(Flagged(g.Results, r => r.Hidden)),
        ["hidden_alone"] = FindingsData.Number(Flagged(g.Results, r => r.HiddenAlone)),
        ["auroc_reasoning_against_the_other"] = FindingsData.Number(Separates(c.Groups, g.Value, r => r.Reasoning)),
        ["auroc_reasoning_random_directions"] = FindingsData.Numbers(ControlsSeparate(c.Groups, g.Value, TranscriptSpan.Reasoning)),
        ["auroc_answer_alone_against_the_other"] = FindingsData.Number(Separates(c.Groups, g.Value, r => r.AnswerAlone)),
        ["auroc_answer_alone_random_directions"] = FindingsData.Numbers(ControlsSeparate(c.Groups, g.Value, TranscriptCells.Alone)),
    }))]);

    internal IEnumerable<FindingsTable> Tables()
    {
        const string Share = "0.000";
        FindingsColumn[] columns = [new("share that fires"), new("reasoning", Share), new("answer", Share), new("answer alone", Share), new("hidden", Share), new("hidden alone", Share)];
        var rows = new List<IReadOnlyList<object?>>
        {
            new object?[] { _request.Axis.IsSubstitute ? _request.Axis.Source : "drift axis", Value(r => r.Reasoning), Value(r => r.Answer), Value(r => r.AnswerAlone), Flagged(_results, r => r.Hidden), Flagged(_results, r => r.HiddenAlone) },
        };
        if (_controls.Length > 0)
        {
            rows.Add(["random directions, mean", .. Of(c => c.Average())]);
            rows.Add([$"random directions, most of {_controls.Length}", .. Of(c => c.Max())]);
        }

        rows.Add(["the base's own answers to these prompts", null, null, _ownCount == 0 ? null : (double)_ownFiring / _ownCount, null, null]);
        rows.Add(["the base's own answers elsewhere, by construction", null, null, 1 - SpanReference.Quantile, null, null]);
        yield return new FindingsTable(
            string.Create(CultureInfo.InvariantCulture, $"{Count} transcripts; a span fires above z = {_reference.Threshold:0.000}, {100 * SpanReference.Quantile:0}% of {_reference.Transcripts} of the base's own answers lie below"), columns, rows);
        foreach ((string field, (string Value, TranscriptResult[] Results)[] groups) in Conditions())
        {
            const string Z = "+0.000;-0.000;0.000";
            yield return new FindingsTable(
                $"by {field}{Separation(groups, "reasoning", TranscriptSpan.Reasoning, r => r.Reasoning)}{Separation(groups, "answer alone", TranscriptCells.Alone, r => r.AnswerAlone)}",
                [new(field), new("transcripts", "0"), new("reasoning z", Z), new("answer z", Z), new("answer alone z", Z), new("hidden", Share), new("hidden alone", Share)],
                [.. groups.Select(g => (IReadOnlyList<object?>)
                [
                    g.Value, g.Results.Length, Mean(g.Results, r => r.Reasoning), Mean(g.Results, r => r.Answer), Mean(g.Results, r => r.AnswerAlone), Flagged(g.Results, r => r.Hidden), Flagged(g.Results, r => r.HiddenAlone),
                ])]);
        }

        IEnumerable<object?> Of(Func<IEnumerable<double>, double> reduce) =>
            [reduce(_controls.Select(c => c.Reasoning)), reduce(_controls.Select(c => c.Answer)), reduce(_controls.Select(c => c.Alone)), reduce(_controls.Select(c => c.Hidden)), reduce(_controls.Select(c => c.HiddenAlone))];

        double? Value(Func<TranscriptResult, double?> score) => Rate(_results, score);
    }

    private JsonNode? Share(Func<TranscriptResult, double?> score) => FindingsData.Number(Rate(_results, score));

    private double? Rate(IEnumerable<TranscriptResult> results, Func<TranscriptResult, double?> score)
    {
        double[] values = [.. results.Select(score).OfType<double>()];
        return values.Length == 0 ? null : values.Count(v => v > _reference.Threshold) / (double)values.Length;
    }

    private static double? Flagged(IEnumerable<TranscriptResult> results, Func<TranscriptResult, bool?> flag)
    {
        bool[] flags = [.. results.Select(flag).OfType<bool>()];
        return flags.Length == 0 ? null : flags.Count(f => f) / (double)flags.Length;
    }

    private static double? Mean(IEnumerable<TranscriptResult> results, Func<TranscriptResult, double?> score)
    {
        double[] values = [.. results.Select(score).OfType<double>()];
        return values.Length == 0 ? null : values.Average();
    }

    // How well a score tells a value from the other one; null where there are not two, or not all are scored.
    private static double? Separates((string Value, TranscriptResult[] Results)[] groups, string value, Func<TranscriptResult, double?> score)
    {
        if (groups.Length != 2) return null;
        double auroc = Auroc.Of(groups.First(g => g.Value == value).Results.Select(score).OfType<double>(), groups.First(g => g.Value != value).Results.Select(score).OfType<double>());
        return double.IsNaN(auroc) ? null : auroc;
    }

    private double[] ControlsSeparate((string Value, TranscriptResult[] Results)[] groups, string value, string span) =>
        [.. Enumerable.Range(0, _controls.Length).Select(c => Separates(groups, value, r => r.Score.Controls.TryGetValue(span, out double[]? scores) ? scores[c] : null)).OfType<double>()];

    // "reasoning tells them apart with AUROC .., random directions with .. to ..".
    private string Separation((string Value, TranscriptResult[] Results)[] groups, string name, string span, Func<TranscriptResult, double?> score)
    {
        if (Separates(groups, groups[^1].Value, score) is not { } auroc) return "";
        double[] controls = [.. ControlsSeparate(groups, groups[^1].Value, span).Select(c => Math.Max(c, 1 - c))];
        string beside = controls.Length == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" (random directions {controls.Min():0.00} to {controls.Max():0.00})");
        return string.Create(CultureInfo.InvariantCulture, $"; AUROC of {name} {auroc:0.00}{beside}");
    }

    private IEnumerable<(string Field, (string Value, TranscriptResult[] Results)[] Groups)> Conditions()
    {
        foreach (string field in _request.Groups)
        {
            (string, TranscriptResult[])[] groups = [.. _results.Where(r => r.Transcript.Fields.ContainsKey(field)).GroupBy(r => r.Transcript.Fields[field])
                .OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => (g.Key, g.ToArray()))];
            if (groups.Length > 0) yield return (field, groups);
        }
    }

    private (double Rate, Interval Interval, int Count)? Measured()
    {
        if (_request.Benign is not { } benign) return null;
        bool[] flags = [.. _results.Where(r => r.Transcript.Fields.GetValueOrDefault(benign.Field) == benign.Value).Select(r => r.HiddenAlone).OfType<bool>()];
        if (flags.Length == 0) return null;
        double rate = flags.Count(f => f) / (double)flags.Length;
        return (rate, LabelCertainty.Wilson(rate, flags.Length), flags.Length);
    }

    // The same flags along a random direction, with a threshold of its own.
    private (double Reasoning, double Answer, double Alone, double Hidden, double HiddenAlone) Control(int direction)
    {
        double threshold = _reference.ControlThresholds[direction];
        bool?[] Fires(string span) => [.. _results.Select(r => r.Score.Controls.TryGetValue(span, out double[]? scores) ? scores[direction] > threshold : (bool?)null)];
        bool?[] reasoning = Fires(TranscriptSpan.Reasoning), answer = Fires(TranscriptSpan.Answer), alone = Fires(TranscriptCells.Alone);
        return (Mean(reasoning), Mean(answer), Mean(alone), Mean(reasoning.Zip(answer, (r, a) => r & !a)), Mean(reasoning.Zip(alone, (r, a) => r & !a)));

        static double Mean(IEnumerable<bool?> flags)
        {
            bool[] known = [.. flags.OfType<bool>()];
            return known.Length == 0 ? double.NaN : known.Count(f => f) / (double)known.Length;
        }
    }
}
