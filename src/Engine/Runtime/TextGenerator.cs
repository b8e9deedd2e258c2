using System.Numerics.Tensors;

namespace EmScan.Engine.Runtime;

/// <summary>Chooses the token that follows.</summary>
/// <param name="prompt">Index of the prompt.</param>
/// <param name="logits">(V), unnormalised.</param>
internal delegate int ChooseToken(int prompt, ReadOnlySpan<float> logits);

/// <summary>Continues prompts token by token, many at a time.</summary>
internal sealed class TextGenerator(GgufModel model, AdaptedContext context)
{
    // Tokens of the prompts that grow together, in batches of a capture: the cache is as large as all of them.
    private const int BatchesPerGroup = 4;

    /// <summary>By the most likely token; <see cref="IActivationSource.GenerateGreedy"/>.</summary>
    internal int[][] Greedy(IReadOnlyList<int[]> prompts, int maxNewTokens, CancellationToken cancellationToken) =>
        Generate(prompts, maxNewTokens, (_, logits) => ArgMax(logits), cancellationToken);

    /// <summary>By tokens drawn from softmax(logits / temperature), each prompt with random numbers of its own.</summary>
    internal int[][] Sampled(IReadOnlyList<int[]> prompts, int maxNewTokens, double temperature, IReadOnlyList<int> seeds, CancellationToken cancellationToken)
    {
        Random[] random = [.. seeds.Select(seed => new Random(seed))];
        double[] weights = new double[model.Vocabulary.Size];
        return Generate(prompts, maxNewTokens, (prompt, logits) => Draw(logits, temperature, weights, random[prompt]), cancellationToken);
    }

    private int[][] Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, ChooseToken choose, CancellationToken cancellationToken)
    {
        int[][] results = new int[prompts.Count][];
        if (maxNewTokens == 0) Array.Fill(results, []);
        for (int next = 0; next < prompts.Count && maxNewTokens > 0;)
        {
            int first = next, tokens = 0;
            do
            {
                tokens += Room(prompts[next++], maxNewTokens);
            }
            while (next < prompts.Count && next - first < context.Limits.Sequences
                && tokens + Room(prompts[next], maxNewTokens) <= context.Limits.BatchTokens * BatchesPerGroup);
            context.Ensure(tokens, tokens, 0);
            GenerateGroup(prompts, first, next, maxNewTokens, choose, results, cancellationToken);
        }

        return results;
    }

    // Room for the prompt and all that it may grow by, within the context the model was trained with.
    private int Room(int[] prompt, int maxNewTokens) => Math.Min(prompt.Length + maxNewTokens, model.TrainedContext);

    private void GenerateGroup(
        IReadOnlyList<int[]> prompts, int first, int end, int maxNewTokens, ChooseToken choose, int[][] results, CancellationToken cancellationToken)
    {
        LlamaBatchBuilder batch = context.Batch;
        int count = end - first;
        var generated = new List<int>[count];
        int[] outputColumn = new int[count];
        batch.Clear(context.BatchCapacity);
        for (int s = 0; s < count; s++)
        {
            generated[s] = [];
            int[] prompt = prompts[first + s];
            for (int i = 0; i < prompt.Length; i++) batch.Add(prompt[i], i, s, 1, i == prompt.Length - 1);
            outputColumn[s] = batch.Count - 1;
        }

        context.ClearMemory();
        context.Decode();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var active = new List<(int Sequence, int Token)>();
            for (int s = 0; s < count; s++)
            {
                if (outputColumn[s] < 0) continue;
                ReadOnlySpan<float> logits = context.Handle.GetLogitsIth(outputColumn[s]);
                context.Spoilt |= !float.IsFinite(TensorPrimitives.Sum(logits));
                int token = choose(first + s, logits);
                bool ends = model.Vocabulary.IsEndOfGeneration(token);
                if (!ends) generated[s].Add(token);
                outputColumn[s] = -1;
                int length = prompts[first + s].Length + generated[s].Count;
                if (!ends && generated[s].Count < maxNewTokens && length < model.TrainedContext) active.Add((s, token));
            }

            if (active.Count == 0) break;
            batch.Clear(context.BatchCapacity);
            foreach ((int s, int token) in active)
            {
                outputColumn[s] = batch.Count;
                batch.Add(token, prompts[first + s].Length + generated[s].Count - 1, s, 1, output: true);
            }

            context.Decode();
        }

        for (int s = 0; s < count; s++) results[first + s] = [.. generated[s]];
    }

    private static int ArgMax(ReadOnlySpan<float> logits)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        if (best < 0 || float.IsNaN(logits[best])) throw new LlamaException("The model's logits are NaN; the weights or an adapter are damaged.");
        return best;
    }

    private static int Draw(ReadOnlySpan<float> logits, double temperature, double[] weights, Random random)
    {
        // Cumulative weights relative to the largest logit; the first that exceeds a uniform share of their sum is drawn.
        int best = ArgMax(logits);
        double largest = logits[best], sum = 0;
        for (int i = 0; i < logits.Length; i++) weights[i] = sum += Math.Exp((logits[i] - largest) / temperature);
        double wanted = random.NextDouble() * sum;
        for (int i = 0; i < logits.Length; i++)
        {
            if (weights[i] > wanted) return i;
        }

        return best;
    }
}
