using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace EmScan.Engine.Formats;

/// <content>Blocks of 256 values: the K types, and IQ4_XS.</content>
internal static partial class GgmlBlocks
{
    /// <summary>Values in such a block.</summary>
    private const int Wide = 256;

    // 16 bytes of scale (low) and offset (high half), 64 of quants, d, m. Quants of two bits: 32 bytes hold 4 groups of 32, each at
    // other bits, and each of two halves.
    private static void Q2K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[84..], values = values[Wide..])
        {
            float d = Half(blocks[80..]), m = Half(blocks[82..]);
            for (int group = 0; group < 16; group++)
            {
                float scale = d * (blocks[group] & 15), offset = m * (blocks[group] >> 4);
                int shift = 2 * (group / 2 % 4);
                ReadOnlySpan<byte> quants = blocks.Slice(16 + (group / 8 * 32) + (group % 2 * 16), 16);
                Span<float> target = values.Slice(16 * group, 16);
                for (int i = 0; i < quants.Length; i++)
                    target[i] = scale * ((quants[i] >> shift) & 3) - offset;
            }
        }
    }

    // 32 bytes of third bits, 64 of quants as in Q2_K, 12 of scales, d. Where the third bit is missing, 4 is subtracted.
    private static void Q3K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[110..], values = values[Wide..])
        {
            float d = Half(blocks[108..]);
            ReadOnlySpan<byte> scales = blocks.Slice(96, 12);
            for (int group = 0; group < 16; group++)
            {
                // Four low bits of groups 0 to 7 and 8 to 15 share bytes 0 to 7; two high bits of four groups share each of bytes 8 to 11.
                int low = (scales[group % 8] >> (group / 8 * 4)) & 15, high = (scales[8 + (group % 4)] >> (group / 4 * 2)) & 3;
                float scale = d * ((low | (high << 4)) - 32);
                int shift = 2 * (group / 2 % 4), third = group / 2;
                ReadOnlySpan<byte> quants = blocks.Slice(32 + (group / 8 * 32) + (group % 2 * 16), 16);
                ReadOnlySpan<byte> bits = blocks.Slice(group % 2 * 16, 16);
                Span<float> target = values.Slice(16 * group, 16);
                for (int i = 0; i < target.Length; i++)
                    target[i] = scale * (((quants[i] >> shift) & 3) + (((bits[i] >> third) & 1) << 2) - 4);
            }
        }
    }

    private static void Q4K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[144..], values = values[Wide..])
        {
            float d = Half(blocks), m = Half(blocks[2..]);
            ReadOnlySpan<byte> scales = blocks.Slice(4, 12);
            for (int pair = 0; pair < 4; pair++)
            {
                (float scale, float offset) = ScaleAndOffset(scales, 2 * pair, d, m);
                (float nextScale, float nextOffset) = ScaleAndOffset(scales, (2 * pair) + 1, d, m);
                for (int i = 0; i < 32; i += 16)
                {
                    Vector128<byte> quants = Vector128.Create(blocks.Slice(16 + (32 * pair) + i, 16));
                    Store(Bits(quants, 0, 15).AsSByte(), scale, offset, values[((64 * pair) + i)..]);
                    Store(Bits(quants, 4, 15).AsSByte(), nextScale, nextOffset, values[((64 * pair) + 32 + i)..]);
                }
            }
        }
    }

    private static void Q5K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[176..], values = values[Wide..])
        {
            float d = Half(blocks), m = Half(blocks[2..]);
            ReadOnlySpan<byte> scales = blocks.Slice(4, 12), fifth = blocks.Slice(16, 32);
            for (int pair = 0; pair < 4; pair++)
            {
                (float scale, float offset) = ScaleAndOffset(scales, 2 * pair, d, m);
                (float nextScale, float nextOffset) = ScaleAndOffset(scales, (2 * pair) + 1, d, m);
                for (int i = 0; i < 32; i += 16)
                {
                    Vector128<byte> quants = Vector128.Create(blocks.Slice(48 + (32 * pair) + i, 16));
                    Vector128<byte> bits = Vector128.Create(fifth.Slice(i, 16));
                    Vector128<byte> low = Bits(quants, 0, 15) | (Bits(bits, 2 * pair, 1).AsUInt16() << 4).AsByte();
                    Vector128<byte> high = Bits(quants, 4, 15) | (Bits(bits, (2 * pair) + 1, 1).AsUInt16() << 4).AsByte();
                    Store(low.AsSByte(), scale, offset, values[((64 * pair) + i)..]);
                    Store(high.AsSByte(), nextScale, nextOffset, values[((64 * pair) + 32 + i)..]);
                }
            }
        }
    }

    // 128 bytes of low and 64 of high bits, 16 signed scales, d. 128 values at a time: 4 groups of 32, each of two halves.
    private static void Q6K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[210..], values = values[Wide..])
        {
            float d = Half(blocks[208..]);
            for (int group = 0; group < 16; group++)
            {
                int half = group / 8, quarter = group / 2 % 4, start = group % 2 * 16;
                float scale = d * (sbyte)blocks[192 + group];
                int lowShift = quarter / 2 * 4, highShift = 2 * quarter;
                Vector128<byte> low = Vector128.Create(blocks.Slice((64 * half) + (quarter % 2 * 32) + start, 16));
                Vector128<byte> high = Vector128.Create(blocks.Slice(128 + (32 * half) + start, 16));
                Vector128<byte> quants = Bits(low, lowShift, 15) | (Bits(high, highShift, 3).AsUInt16() << 4).AsByte();
                Store(quants.AsSByte() - Vector128.Create((sbyte)32), scale, values[(16 * group)..]);
            }
        }
    }

    private static void Iq4Xs(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[136..], values = values[Wide..])
        {
            float d = Half(blocks);
            int highBits = BinaryPrimitives.ReadUInt16LittleEndian(blocks[2..]);
            for (int group = 0; group < 8; group++)
            {
                int low = (blocks[4 + (group / 2)] >> (group % 2 * 4)) & 15, high = (highBits >> (2 * group)) & 3;
                float scale = d * ((low | (high << 4)) - 32);
                FromTable(scale, Iq4Values, blocks.Slice(8 + (16 * group), 16), values.Slice(32 * group, 32));
            }
        }
    }

    /// <summary>
    /// The 6-bit scale and offset of one of 8 groups, packed in 12 bytes: those of groups 0 to 3 are the low bits of bytes 0 to 7; of
    /// groups 4 to 7 the low four bits share bytes 8 to 11, and the high two are the high bits of bytes 0 to 7.
    /// </summary>
    private static (float Scale, float Offset) ScaleAndOffset(ReadOnlySpan<byte> packed, int group, float d, float m)
    {
        int scale, offset;
        if (group < 4)
        {
            scale = packed[group] & 63;
            offset = packed[group + 4] & 63;
        }
        else
        {
            scale = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4);
            offset = (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4);
        }

        return (d * scale, m * offset);
    }
}
