using EmScan.Engine.Runtime;

namespace EmScan.Engine.Traits;

/// <summary>Extracts trait directions of a base model: every system prompt of both poles with every question, one pass for all
/// layers.</summary>
/// <remarks>
/// <para>Method: arXiv 2606.07631, phase 1. Prompts run trait by trait, and within it system prompt by system prompt, so that the prompts
/// of a call share their prefix.</para>
/// <para>Memory beyond the source's own. Pooling happens at capture, so nothing of size T x D is kept: PromptsPerCall x L x D float64 for
/// the call at work. Mean difference without validity figures keeps two sums, 2 x L x D float64. Everything else keeps the samples of one
/// trait at a time, (P+ + P-) x Q x L x D float32: with the built-in set 300 x L x D x 4 bytes, 157 MB for 32 layers of 4096, which is a
/// few percent of such a model's weights.</para>
/// </remarks>
internal static class DirectionExtractor
{
    /// <summary>Extracts the directions of all traits. All adapters are taken off the source first: directions belong to the base
    /// model.</summary>
    /// <param name="source">The base model; used by this thread only while the call runs.</param>
    /// <param name="encoder">Renders system prompt and question.</param>
    /// <param name="traits">The traits and questions.</param>
    /// <param name="options">What to extract and how; null for the defaults.</param>
    /// <param name="progress">Told after every call to the source.</param>
    /// <param name="cancellationToken">Checked between calls to the source and between layers.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="EmScanException">
    /// A prompt is longer than the source takes, a paired method has pools of different sizes, or the poles of a trait do not differ.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ExtractionResult Extract(
        IActivationSource source,
        IPromptEncoder encoder,
        TraitSet traits,
        ExtractionOptions? options = null,
        IProgress<ExtractionProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(traits);
        options ??= new ExtractionOptions();
        options = options with { Pooling = options.Pooling ?? Pooling.LastToken };
        int[] layers = CheckOptions(options, source, traits);
        source.SetAdapters([]);
        var extraction = new Extraction(source, encoder, traits, options, layers, progress, cancellationToken);
        return extraction.Run();
    }

    /// <summary>The inputs of one call to the source after another: the questions under one system prompt, so that they share it.</summary>
    internal static IEnumerable<int[][]> Calls(
        IPromptEncoder encoder, IReadOnlyList<string> systemPrompts, IReadOnlyList<string> questions, ExtractionOptions options)
    {
        foreach (string system in systemPrompts)
        {
            foreach (string[] some in questions.Chunk(options.PromptsPerCall))
                yield return [.. some.Select(question => encoder.Encode(system, question))];
        }
    }

    private static int[] CheckOptions(ExtractionOptions options, IActivationSource source, TraitSet traits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.PromptsPerCall, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxNewTokens, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Permutations, 1, nameof(options));
        if (!Enum.IsDefined(options.Method) || !Enum.IsDefined(options.Pooling!.Value))
            throw new ArgumentException("There is no such method or pooling.", nameof(options));
        int[] layers = [.. options.Layers ?? [.. Enumerable.Range(0, source.LayerCount)]];
        if (layers.Length == 0) throw new ArgumentException("There must be at least one layer.", nameof(options));
        for (int i = 0; i < layers.Length; i++)
        {
            if (layers[i] < 0 || layers[i] >= source.LayerCount || (i > 0 && layers[i] <= layers[i - 1]))
                throw new ArgumentException($"Layers must ascend and lie in [0, {source.LayerCount}).", nameof(options));
        }

        if (options.Method != DirectionMethod.PairedPca) return layers;
        foreach (Trait trait in traits.Traits)
        {
            int positive = trait.PositivePrompts.Count, negative = trait.NegativePrompts.Count;
            if (positive != negative)
            {
                throw new EmScanException(
                    $"Trait '{trait.Name}' has {positive} positive and {negative} negative system prompts, paired_pca needs pairs.");
            }
        }

        return layers;
    }

    /// <summary>One run over all traits.</summary>
    private sealed class Extraction(
        IActivationSource source, IPromptEncoder encoder, TraitSet set, ExtractionOptions options, int[] layers,
        IProgress<ExtractionProgress>? progress, CancellationToken cancellationToken)
    {
        private readonly int _hiddenSize = source.HiddenSize;
        private readonly PoolingSink _sink = new(Math.Min(options.PromptsPerCall, set.Questions.Count), layers, source.HiddenSize);
        private readonly int _promptsTotal =
            set.Traits.Sum(trait => trait.PositivePrompts.Count + trait.NegativePrompts.Count) * set.Questions.Count;
        private int _promptsDone;
        private int _emptyGenerations;

        public ExtractionResult Run()
        {
            var directions = layers.ToDictionary(layer => layer, _ => new float[set.Traits.Count * _hiddenSize]);
            var validity = new List<DirectionValidity>();
            PoleStates positive = StatesFor(trait => trait.PositivePrompts), negative = StatesFor(trait => trait.NegativePrompts);
            foreach ((int k, Trait trait) in set.Traits.Index())
            {
                Capture(trait, trait.PositivePrompts, positive);
                Capture(trait, trait.NegativePrompts, negative);
                for (int i = 0; i < layers.Length; i++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    Span<float> direction = directions[layers[i]].AsSpan(k * _hiddenSize, _hiddenSize);
                    try
                    {
                        DirectionValidity? figures = Estimate(trait, i, positive, negative, direction);
                        if (figures is not null) validity.Add(figures);
                    }
                    catch (EmScanException e)
                    {
                        throw new EmScanException($"No direction for trait '{trait.Name}' at layer {layers[i]}: {e.Message}", e);
                    }
                }
            }

            DirectionMetadata metadata = options.Origin with
            {
                TraitSetSha256 = set.ContentHash,
                Method = options.Method.ToName(),
                Pooling = options.Pooling!.Value.ToName(),
                MaxNewTokens = options.Pooling == Pooling.MeanOutput ? options.MaxNewTokens : null,
                PromptIdentity = encoder.Identity,
                Seed = options.Seed,
            };
            return new ExtractionResult(new DirectionSet(set.TraitNames, _hiddenSize, directions, metadata), validity, _emptyGenerations);
        }

        // Allocated once, for the largest pool: one trait at a time is all that is ever held.
        private PoleStates StatesFor(Func<Trait, IReadOnlyList<string>> pool) => new(
            set.Traits.Max(trait => pool(trait).Count) * set.Questions.Count,
            layers.Length,
            _hiddenSize,
            keepSamples: options.Validity || options.Method != DirectionMethod.MeanDifference);

        private DirectionValidity? Estimate(Trait trait, int layerIndex, PoleStates positive, PoleStates negative, Span<float> direction)
        {
            if (options.Method == DirectionMethod.MeanDifference)
                PoleStates.MeanDifference(positive, negative, layerIndex).CopyTo(direction);
            if (options.Method == DirectionMethod.MeanDifference && !options.Validity) return null;
            var samples = new ContrastSamples(positive.Samples(layerIndex), negative.Samples(layerIndex), _hiddenSize);
            if (options.Method != DirectionMethod.MeanDifference)
            {
                double[] coefficients = SpanEstimator.Coefficients(options.Method, samples.Gram, samples.AllPositive, samples.AllNegative);
                samples.Direction(coefficients).CopyTo(direction);
            }

            if (!options.Validity) return null;
            int[] positiveQuestions = QuestionOfRows(trait.PositivePrompts), negativeQuestions = QuestionOfRows(trait.NegativePrompts);
            return new ValidityEstimator(options.Method, samples, positiveQuestions, negativeQuestions)
                .Estimate(trait.Name, layers[layerIndex], options.Permutations, options.Seed);
        }

        // Rows are prompt by prompt, questions inner. A question that the set asks twice has one number, so that it stays within one fold.
        private int[] QuestionOfRows(IReadOnlyList<string> systemPrompts)
        {
            List<string> distinct = [.. set.Questions.Distinct()];
            int[] numbers = [.. set.Questions.Select(question => distinct.IndexOf(question))];
            return [.. systemPrompts.SelectMany(_ => numbers)];
        }

        private void Capture(Trait trait, IReadOnlyList<string> systemPrompts, PoleStates states)
        {
            states.Clear();
            foreach (int[][] inputs in Calls(encoder, systemPrompts, set.Questions, options))
            {
                cancellationToken.ThrowIfCancellationRequested();
                CapturePrompt[] prompts = Prompts(trait, inputs);
                _sink.Clear();
                source.Capture(prompts, layers, _sink, cancellationToken);
                // Added in the order of the prompts, not of their arrival: sums do not depend on how the source batches.
                for (int p = 0; p < prompts.Length; p++) states.AddPrompt(_sink, p, prompts[p].Positions.Length);
                _promptsDone += prompts.Length;
                progress?.Report(new ExtractionProgress(trait.Name, _promptsDone, _promptsTotal));
            }
        }

        private CapturePrompt[] Prompts(Trait trait, int[][] inputs)
        {
            int room = options.Pooling == Pooling.MeanOutput ? options.MaxNewTokens : 0;
            if (inputs.Max(tokens => tokens.Length) is var longest && longest + room > source.MaxTokens)
            {
                string what = room == 0 ? $"{longest} tokens" : $"{longest} tokens and {room} to generate";
                throw new EmScanException(
                    $"A prompt of trait '{trait.Name}' needs {what}, the context has {source.MaxTokens}; enlarge the context.");
            }

            if (options.Pooling == Pooling.LastToken) return [.. inputs.Select(CapturePrompt.Last)];
            if (options.Pooling == Pooling.MeanInput) return [.. inputs.Select(tokens => CapturePrompt.From(tokens, 0))];
            int[][] outputs = source.GenerateGreedy(inputs, options.MaxNewTokens, cancellationToken);
            _emptyGenerations += outputs.Count(output => output.Length == 0);
            return [.. inputs.Zip(outputs, (input, output) =>
                output.Length == 0 ? CapturePrompt.Last(input) : CapturePrompt.From([.. input, .. output], input.Length))];
        }
    }
}
