using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>What a checkpoint costs at each place, one context: the last prompt token, the first answer token, all answer tokens; at half depth and at the last
/// layer, which needs every block.</summary>
internal sealed class PlacesPart(Workload workload, Clock clock)
{
    internal void Run()
    {
        using var source = new LlamaActivationSource(workload.Model, workload.Default);
        var answers = new BaseAnswers(workload.Answers(source));
        ScanDefinition at = workload.Definition;
        (MeasuredPlace Place, int Layer, CapturePlan Plan, AccumulatorSink Sink, Samples Samples)[] places =
        [
            .. ((int[])[at.Layer, source.LayerCount - 1]).Distinct().SelectMany(layer => Enum.GetValues<MeasuredPlace>().Select(place =>
            {
                CapturePrompt[] prompts = answers.After(workload.Tokens, place);
                var definition = new ScanDefinition(at.ModelFingerprint, layer, at.Traits, at.Directions.ToArray(), prompts, at.NumericMode);
                return (place, layer, source.Plan(prompts, [layer]), definition.Sink(), new Samples($"{place.ToPhrase()}, layer {layer}"));
            })),
        ];

        Console.WriteLine();
        Console.WriteLine(Invariant($"answers of {answers.Tokens.Average(a => a.Length):0.0} tokens in the mean, {answers.Tokens.Max(a => a.Length)} at most"));
        Console.WriteLine();
        Console.WriteLine("| place | tokens of the prompts | shared | computed | token-layers | over the last prompt token's |");
        Console.WriteLine("|---|---:|---:|---:|---:|---:|");
        PlanTotals first = PlanTotals.Of([places[0].Plan]);
        foreach ((_, _, CapturePlan plan, _, Samples samples) in places)
        {
            var totals = PlanTotals.Of([plan]);
            Console.WriteLine(Invariant(
                $"| {samples.Name} | {totals.PromptTokens} | {totals.SharedTokens} | {totals.Tokens} | {totals.TokenLayers} | {(double)totals.TokenLayers / first.TokenLayers:0.000} |"));
        }

        Console.WriteLine();
        var wall = new Clock(cpuTime: false);
        for (int round = -1; round < workload.Options.Rounds; round++)
        {
            double start = wall.Now;
            using ILoadedAdapter adapter = source.LoadAdapter(workload.Checkpoints[(round + 1) % workload.Checkpoints.Length].Path, places.Max(p => p.Layer));
            source.SetAdapters([new WeightedAdapter(adapter, 1)]);
            foreach ((_, _, CapturePlan plan, AccumulatorSink sink, Samples samples) in places)
            {
                double time = clock.Time(() => source.Capture(plan, sink));
                if (round >= 0) samples.Add(time); // The first round warms up.
            }

            source.SetAdapters([]);
            Report.Round("places", round, workload.Options.Rounds, wall.Now - start);
        }

        Samples last = places[0].Samples;
        Report.Times(places.Select(p => p.Samples));
        Report.Claims(places.Skip(1).Select(p =>
            ($"{p.Samples.Name} over {last.Name}", p.Place == MeasuredPlace.FirstAnswerToken && p.Layer == at.Layer ? "<= 1.15" : "", p.Samples.Over(last))));
    }
}
