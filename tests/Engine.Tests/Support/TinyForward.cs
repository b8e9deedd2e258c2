namespace EmScan.Engine.Tests.Support;

/// <summary>
/// The forward pass of a <see cref="TinyModel"/> in float64, written from the definition of the architecture as transformers computes it
/// (RMSNorm, rotate-half RoPE, grouped-query attention, SwiGLU), with LoRA differences merged into the weights.
/// </summary>
internal sealed class TinyForward
{
    private readonly TinyModel _model;
    private readonly Dictionary<string, double[]> _weights;
    private readonly IReadOnlyDictionary<int, float[]> _steering;

    internal TinyForward(TinyModel model, IEnumerable<(TinyAdapter Adapter, double Scale)>? adapters = null, IReadOnlyDictionary<int, float[]>? steering = null)
        : this(model, (adapters ?? []).SelectMany(a => a.Adapter.Deltas().Select(d => (d.Module, Array.ConvertAll(d.Delta, v => a.Scale * v)))), steering)
    {
    }

    /// <summary>Takes changes of whole weights, (out, in) row-major each.</summary>
    internal TinyForward(TinyModel model, IEnumerable<(string Module, double[] Delta)> changes, IReadOnlyDictionary<int, float[]>? steering = null)
    {
        _model = model;
        _steering = steering ?? new Dictionary<int, float[]>();
        _weights = model.Weights.ToDictionary(pair => pair.Key, pair => Array.ConvertAll(pair.Value, v => (double)v));
        foreach ((string module, double[] delta) in changes)
        {
            double[] weight = _weights[module + ".weight"];
            for (int i = 0; i < weight.Length; i++) weight[i] += delta[i];
        }
    }

    /// <summary>Hidden states after every block, [layer][token] of (D), and logits of every token.</summary>
    internal (double[][][] Hidden, double[][] Logits) Run(int[] tokens)
    {
        int d = _model.Hidden;
        double[][] x = [.. tokens.Select(t => _weights["model.embed_tokens.weight"].AsSpan(t * d, d).ToArray())];
        double[][][] states = new double[_model.Layers][][];
        for (int l = 0; l < _model.Layers; l++)
        {
            string p = $"model.layers.{l}.";
            double[][] normed = [.. x.Select(row => RmsNorm(row, p + "input_layernorm.weight"))];
            double[][] attention = Attention(normed, p + "self_attn.");
            for (int t = 0; t < x.Length; t++) x[t] = Add(x[t], attention[t]);
            for (int t = 0; t < x.Length; t++)
            {
                double[] h = RmsNorm(x[t], p + "post_attention_layernorm.weight");
                double[] gate = Linear(h, p + "mlp.gate_proj"), up = Linear(h, p + "mlp.up_proj");
                double[] product = [.. gate.Select((g, i) => g / (1 + Math.Exp(-g)) * up[i])];
                x[t] = Add(x[t], Linear(product, p + "mlp.down_proj"));
                if (_steering.TryGetValue(l, out float[]? vector)) x[t] = Add(x[t], Array.ConvertAll(vector, v => (double)v));
            }

            states[l] = [.. x.Select(row => (double[])row.Clone())];
        }

        return (states, [.. x.Select(row => Linear(RmsNorm(row, "model.norm.weight"), "lm_head"))]);
    }

    private double[][] Attention(double[][] x, string p)
    {
        int size = _model.HeadSize, group = _model.Heads / _model.KvHeads;
        double[][] q = [.. x.Select((row, t) => Rotate(Linear(row, p + "q_proj"), t))];
        double[][] k = [.. x.Select((row, t) => Rotate(Linear(row, p + "k_proj"), t))];
        double[][] v = [.. x.Select(row => Linear(row, p + "v_proj"))];
        double[][] result = new double[x.Length][];
        for (int t = 0; t < x.Length; t++)
        {
            double[] mixed = new double[_model.Heads * size];
            for (int h = 0; h < _model.Heads; h++)
            {
                int kv = h / group;
                double[] scores = new double[t + 1];
                for (int s = 0; s <= t; s++)
                {
                    for (int i = 0; i < size; i++) scores[s] += q[t][(h * size) + i] * k[s][(kv * size) + i];
                    scores[s] /= Math.Sqrt(size);
                }

                double max = scores.Max(), total = scores.Sum(s => Math.Exp(s - max));
                for (int s = 0; s <= t; s++)
                {
                    double weight = Math.Exp(scores[s] - max) / total;
                    for (int i = 0; i < size; i++) mixed[(h * size) + i] += weight * v[s][(kv * size) + i];
                }
            }

            result[t] = Linear(mixed, p + "o_proj");
        }

        return result;
    }

    private double[] Rotate(double[] row, int position)
    {
        int size = _model.HeadSize, half = size / 2;
        double[] result = new double[row.Length];
        for (int start = 0; start < row.Length; start += size)
        {
            for (int i = 0; i < half; i++)
            {
                double angle = position * Math.Pow(TinyModel.RopeBase, -2.0 * i / size);
                double a = row[start + i], b = row[start + half + i];
                result[start + i] = (a * Math.Cos(angle)) - (b * Math.Sin(angle));
                result[start + half + i] = (b * Math.Cos(angle)) + (a * Math.Sin(angle));
            }
        }

        return result;
    }

    private double[] RmsNorm(double[] x, string weight)
    {
        double scale = 1 / Math.Sqrt((x.Sum(v => v * v) / x.Length) + TinyModel.Epsilon);
        double[] w = _weights[weight];
        return [.. x.Select((v, i) => v * scale * w[i])];
    }

    private double[] Linear(double[] x, string module)
    {
        double[] w = _weights[module + ".weight"];
        int rows = w.Length / x.Length;
        double[] y = new double[rows];
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < x.Length; c++) y[r] += w[(r * x.Length) + c] * x[c];
        }

        return _weights.TryGetValue(module + ".bias", out double[]? bias) ? Add(y, bias) : y;
    }

    private static double[] Add(double[] a, double[] b) => [.. a.Select((v, i) => v + b[i])];
}
