using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.ExceptionServices;
using EmScan.Engine.Formats;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// The model's own head as an instrument: final norm and vocabulary matrix, read from the GGUF file and decoded to float32, applied to any
/// hidden state or direction (nostalgebraist 2020, "interpreting GPT: the logit lens").
/// </summary>
/// <remarks>
/// <para>The vocabulary passes in blocks of rows that are read, decoded, multiplied and reduced in turn, so memory does not grow with
/// it: a few megabytes a thread, and 4 D bytes a vector. Every call reads the whole matrix once for up to <see cref="MostRows"/> vectors,
/// so give many vectors at a time.</para>
/// <para>Logits are those of the file's weights in float32 with float64 sums (<see cref="WideProjection"/>): error below 1.5e-6 *
/// ||N(v)|| * ||U row||, typically a hundredth of it. llama.cpp rounds the states to 8 bits where the matrix is quantized, so its own
/// logits are coarser. The same vector gives the same bits, whatever the others are and however many threads work.</para>
/// <para>The head of the base: a LoRA on the head is not applied. Thread safe.</para>
/// </remarks>
internal sealed class Lens : IDisposable
{
    /// <summary>Vectors for which the vocabulary passes once.</summary>
    public const int MostRows = 1920;

    /// <summary>Numbers of the matrix that a block holds: a few megabytes, or 64 where each block goes to another device.</summary>
    private const int BlockNumbers = 1 << 20, DeviceBlockNumbers = 1 << 24;

    /// <summary>Tokens in a block are a multiple of this, so that a token's place in it never changes its bits.</summary>
    private const int BlockStep = 96;

    /// <summary>Parts of the vocabulary that are reduced apart, then in order; fixed, so the number of threads changes no bit.</summary>
    private const int Parts = 64;

    private readonly OutputHead _head;
    private readonly GgufRows _matrix;
    private readonly IKernelDevice _device;
    private readonly int _threads;

    private Lens(OutputHead head, GgufRows matrix, int threads, IKernelDevice device) =>
        (_head, _matrix, _threads, _device) = (head, matrix, threads, device);

    /// <summary>Width of a vector, D.</summary>
    public int Dimension => _head.Width;

    /// <summary>Tokens, V.</summary>
    public int VocabularySize => _head.Vocabulary;

    /// <summary>The tensor that serves as the head: "output.weight" or, where they are one, "token_embd.weight".</summary>
    public string HeadTensor => _head.Matrix.Name;

    /// <summary>Opens a model's head.</summary>
    /// <param name="model">The model's file.</param>
    /// <param name="threads">Most threads that work on a call; 0 for as many as the machine has processors.</param>
    /// <param name="device">Where the products are computed, not owned; null for the processor.</param>
    /// <exception cref="InputFileException">The architecture's head is not known here, a tensor is missing or of a type that cannot be
    /// decoded, or the file cannot be read.</exception>
    public static Lens Open(GgufFile model, int threads = 0, IKernelDevice? device = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        OutputHead head = OutputHead.Of(model);
        if (threads == 0) threads = Environment.ProcessorCount;
        return new Lens(head, new GgufRows(model, head.Matrix), threads, device ?? new CpuKernelDevice(threads));
    }

    /// <summary>The model's final norm of hidden states.</summary>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="normalized">(T, D) float32, overwritten; may be the states.</param>
    /// <exception cref="ArgumentException">The lengths do not agree.</exception>
    public void Normalize(ReadOnlySpan<float> states, Span<float> normalized)
    {
        RequireRows(states);
        if (normalized.Length != states.Length)
            throw new ArgumentException($"{normalized.Length} numbers cannot take {states.Length}.", nameof(normalized));
        _head.Normalize(states, normalized, withBias: true);
    }

    /// <summary>All logits of some vectors: for small vocabularies and few vectors, since it holds T V numbers.</summary>
    /// <param name="vectors">(T, D) float32.</param>
    /// <param name="input">How they go through the final norm.</param>
    /// <returns>(T, V) float64.</returns>
    /// <exception cref="ArgumentException">No whole number of vectors, or more logits than one array holds.</exception>
    /// <exception cref="InputFileException">The file cannot be read any more.</exception>
    public double[] Logits(ReadOnlySpan<float> vectors, LensInput input = LensInput.State)
    {
        int rows = RequireRows(vectors);
        if ((long)rows * VocabularySize > Array.MaxLength)
            throw new ArgumentException($"{rows} x {VocabularySize} logits do not fit one array.", nameof(vectors));
        var logits = new double[rows * VocabularySize];
        for (int first = 0; first < rows; first += MostRows)
        {
            int start = first, count = Math.Min(MostRows, rows - first);
            Pass(vectors.Slice(first * Dimension, count * Dimension), input, (_, token, block, tokens) =>
            {
                for (int t = 0; t < count; t++)
                    block.Slice(t * tokens, tokens).CopyTo(logits.AsSpan((start + t) * VocabularySize + token, tokens));
            });
        }

        return logits;
    }

    /// <summary>Reads vectors through the head.</summary>
    /// <param name="vectors">(T, D) float32.</param>
    /// <param name="request">What is wanted.</param>
    /// <returns>One reading for each vector. A vector with a NaN gives NaN and no tokens.</returns>
    /// <exception cref="ArgumentException">No whole number of vectors, or a token id outside the vocabulary, or not one target a
    /// vector.</exception>
    /// <exception cref="InputFileException">The file cannot be read any more.</exception>
    public IReadOnlyList<LensReading> Read(ReadOnlySpan<float> vectors, LensRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentOutOfRangeException.ThrowIfNegative(request.Top, nameof(request));
        ArgumentOutOfRangeException.ThrowIfNegative(request.Bottom, nameof(request));
        int rows = RequireRows(vectors);
        int[] group = [.. request.Group.Distinct().Order()];
        ReadOnlyMemory<int> targets = request.Targets;
        foreach (int token in (int[])[.. group, .. targets.Span])
            if (token < 0 || token >= VocabularySize)
                throw new ArgumentException($"Token {token} is not one of the {VocabularySize} of the vocabulary.", nameof(request));
        if (targets.Length != 0 && targets.Length != rows)
            throw new ArgumentException($"{targets.Length} targets do not belong to {rows} vectors.", nameof(request));

        var readings = new List<LensReading>(rows);
        for (int first = 0; first < rows; first += MostRows)
        {
            int count = Math.Min(MostRows, rows - first);
            ReadOnlyMemory<int> own = targets.IsEmpty ? targets : targets.Slice(first, count);
            var parts = new RowReduction[Parts][];
            Pass(vectors.Slice(first * Dimension, count * Dimension), request.Input, (part, token, block, tokens) =>
            {
                RowReduction[] reductions = parts[part] ??= RowReduction.Many(count, request);
                for (int t = 0; t < count; t++)
                    reductions[t].Add(token, block.Slice(t * tokens, tokens), group, own.IsEmpty ? -1 : own.Span[t]);
            });
            for (int t = 0; t < count; t++)
            {
                var whole = new RowReduction(request.Top, request.Bottom);
                foreach (RowReduction[] part in parts)
                    if (part is not null) whole.Add(part[t]);
                readings.Add(whole.Reading(!own.IsEmpty));
            }
        }

        return readings;
    }

    /// <summary>Closes the model's file.</summary>
    public void Dispose() => _matrix.Dispose();

    private int RequireRows(ReadOnlySpan<float> vectors) => vectors.Length % Dimension == 0
        ? vectors.Length / Dimension
        : throw new ArgumentException($"{vectors.Length} numbers are no whole number of vectors of {Dimension}.", nameof(vectors));

    /// <summary>Lets the vocabulary pass, block by block; parts run at the same time, the blocks of a part in order.</summary>
    private void Pass(ReadOnlySpan<float> vectors, LensInput input, BlockReader read)
    {
        int rows = vectors.Length / Dimension;
        if (rows == 0) return;
        float[] prepared = vectors.ToArray();
        if (input != LensInput.AsIs) _head.Normalize(prepared, prepared, withBias: input == LensInput.State);
        using IResidentStates projection = _device.KeepStates(prepared, Dimension);
        int tokens = Math.Max(1, (_device.IsCpu ? BlockNumbers : DeviceBlockNumbers) / Dimension / BlockStep) * BlockStep;
        int blocks = (VocabularySize - 1) / tokens + 1;
        int perPart = (blocks - 1) / Parts + 1, threads = Math.Min(_threads, (blocks - 1) / perPart + 1), next = -1;
        try
        {
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, _ => TakeParts());
        }
        catch (AggregateException failures)
        {
            ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
        }

        void TakeParts()
        {
            float[] weights = ArrayPool<float>.Shared.Rent(tokens * Dimension);
            double[] logits = ArrayPool<double>.Shared.Rent(tokens * rows);
            for (int part; (part = Interlocked.Increment(ref next)) * perPart < blocks;)
            {
                int end = Math.Min((part + 1) * perPart * tokens, VocabularySize);
                for (int first = part * perPart * tokens; first < end; first += tokens)
                {
                    int count = Math.Min(tokens, end - first);
                    Span<float> block = weights.AsSpan(0, count * Dimension);
                    Span<double> product = logits.AsSpan(0, rows * count);
                    _matrix.Read(first, block);
                    projection.Project(block, product);
                    Finish(product, first, count, input);
                    read(part, first, product, count);
                }
            }

            ArrayPool<double>.Shared.Return(logits);
            ArrayPool<float>.Shared.Return(weights);
        }
    }

    /// <summary>What the model does to its logits.</summary>
    private void Finish(Span<double> logits, int first, int count, LensInput input)
    {
        if (input == LensInput.State && _head.Bias is { } bias)
            for (int i = 0; i < logits.Length; i++) logits[i] += bias[first + i % count];
        if (_head.Scale != 1) TensorPrimitives.Multiply(logits, _head.Scale, logits);
        if (input != LensInput.State || _head.Cap == 0) return;
        TensorPrimitives.Divide(logits, _head.Cap, logits);
        TensorPrimitives.Tanh(logits, logits);
        TensorPrimitives.Multiply(logits, _head.Cap, logits);
    }

    /// <summary>Takes a block of logits: part of the vocabulary, first token, (T, tokens) logits, tokens.</summary>
    private delegate void BlockReader(int part, int firstToken, Span<double> logits, int tokens);

    /// <summary>What is kept of one vector's logits while they pass in pieces. The logits are overwritten.</summary>
    private sealed class RowReduction(int top, int bottom)
    {
        private readonly TokenRanking _top = new(top);
        private readonly TokenRanking _bottom = new(bottom); // of the negative logits
        private double _largest = double.NegativeInfinity;
        private double _sum; // of exp(logit - largest)
        private double _group; // the same over the group
        private double _target = double.NaN;

        public static RowReduction[] Many(int count, LensRequest request) =>
            [.. Enumerable.Range(0, count).Select(_ => new RowReduction(request.Top, request.Bottom))];

        public void Add(int first, Span<double> logits, ReadOnlySpan<int> group, int target)
        {
            if (target >= first && target < first + logits.Length) _target = logits[target - first];
            _top.Add(first, logits);
            double largest = TensorPrimitives.Max(logits);
            if (bottom > 0)
            {
                TensorPrimitives.Negate(logits, logits);
                _bottom.Add(first, logits);
                TensorPrimitives.Negate(logits, logits);
            }

            // A NaN stays: from here on every sum is NaN.
            Rescale(Math.Max(_largest, largest));
            TensorPrimitives.Subtract(logits, _largest, logits);
            TensorPrimitives.Exp(logits, logits);
            _sum += TensorPrimitives.Sum(logits);
            int start = group.BinarySearch(first);
            for (int i = start < 0 ? ~start : start; i < group.Length && group[i] < first + logits.Length; i++)
                _group += logits[group[i] - first];
        }

        public void Add(RowReduction following)
        {
            _top.Add(following._top);
            _bottom.Add(following._bottom);
            if (!double.IsNaN(following._target)) _target = following._target;
            double largest = Math.Max(_largest, following._largest), factor = Math.Exp(following._largest - largest);
            Rescale(largest);
            _sum += following._sum * factor;
            _group += following._group * factor;
        }

        public LensReading Reading(bool withTarget)
        {
            double logSumExp = _largest + Math.Log(_sum);
            return new LensReading(
                _top.Best,
                [.. _bottom.Best.Select(token => token with { Logit = -token.Logit })],
                logSumExp,
                _group / _sum,
                withTarget ? _target - logSumExp : null);
        }

        private void Rescale(double largest)
        {
            double factor = _sum == 0 ? 1 : Math.Exp(_largest - largest);
            _sum *= factor;
            _group *= factor;
            _largest = largest;
        }
    }
}
