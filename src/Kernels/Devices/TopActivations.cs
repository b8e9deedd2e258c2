namespace EmScan.Kernels;

/// <summary>The largest activations of a row.</summary>
internal static class TopActivations
{
    /// <summary>Writes the largest positive activations, the largest first; of equal ones the smaller latent first.</summary>
    /// <param name="activations">(F). A NaN is never chosen.</param>
    /// <param name="latents">(k), overwritten; -1 where there are no more.</param>
    /// <param name="values">(k), overwritten; 0 where there are no more.</param>
    public static void Select(ReadOnlySpan<float> activations, Span<int> latents, Span<float> values)
    {
        latents.Fill(-1);
        values.Clear();
        int found = 0;
        for (int f = 0; f < activations.Length && values.Length > 0; f++)
        {
            float value = activations[f];
            if (!(value > values[^1]))
                continue;
            int place = Math.Min(found, values.Length - 1);
            for (; place > 0 && values[place - 1] < value; place--)
            {
                values[place] = values[place - 1];
                latents[place] = latents[place - 1];
            }

            values[place] = value;
            latents[place] = f;
            found = Math.Min(found + 1, values.Length);
        }
    }

    /// <summary>Sets all activations but the k largest to 0.</summary>
    public static void Keep(Span<float> activations, int k)
    {
        Span<int> latents = k <= 256 ? stackalloc int[k] : new int[k];
        Span<float> values = k <= 256 ? stackalloc float[k] : new float[k];
        Select(activations, latents, values);
        activations.Clear();
        for (int i = 0; i < k && latents[i] >= 0; i++)
            activations[latents[i]] = values[i];
    }
}
