using System.Numerics.Tensors;

namespace EmScan.Engine.Runtime;

/// <summary>Continues prompts by the most likely token, many at a time.</summary>
internal sealed class GreedyGenerator(GgufModel model, AdaptedContext context)
{
    // Tokens of the prompts that grow together, in batches of a capture: the cache is as large as all of them.
    private const int BatchesPerGroup = 4;

    /// <inheritdoc cref="IActivationSource.GenerateGreedy"/>
    internal int[][] Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, CancellationToken cancellationToken)
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
            GenerateGroup(prompts, first, next, maxNewTokens, results, cancellationToken);
        }

        return results;
    }

    // Room for the prompt and all that it may grow by, within the context the model was trained with.
    private int Room(int[] prompt, int maxNewTokens) => Math.Min(prompt.Length + maxNewTokens, model.TrainedContext);

    private void GenerateGroup(
        IReadOnlyList<int[]> prompts, int first, int end, int maxNewTokens, int[][] results, CancellationToken cancellationToken)
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

        context.Handle.MemoryClear(data: false);
        context.Decode();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var active = new List<(int Sequence, int Token)>();
            for (int s = 0; s < count; s++)
            {
                if (outputColumn[s] < 0) continue;
                int token = Argmax(outputColumn[s]);
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

    private int Argmax(int column)
    {
        ReadOnlySpan<float> span = context.Handle.GetLogitsIth(column);
        int best = TensorPrimitives.IndexOfMax(span);
        if (best < 0 || float.IsNaN(span[best])) throw new LlamaException("The model's logits are NaN; the weights or an adapter are damaged.");
        return best;
    }
}
