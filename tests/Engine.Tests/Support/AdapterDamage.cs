using System.Text;

namespace EmScan.Engine.Tests.Support;

/// <summary>Damaged copies of adapter files, GGUF, safetensors or JSON.</summary>
internal static class AdapterDamage
{
    /// <summary>Damage where it hurts: counts, sizes, names and numbers of the header; now and then the end cut off, or a weight.</summary>
    internal static byte[] Of(byte[] original, Random random)
    {
        byte[] bytes = [.. original];
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int header = Math.Min(bytes.Length, 2600);
            int at = random.Next(random.Next(8) == 0 ? bytes.Length : header);
            switch (random.Next(7))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: Digits(bytes, at, random); break;
                case 3: Put(bytes, at & ~7, BitConverter.GetBytes((ulong)random.NextInt64(0, 1L << random.Next(1, 62)))); break;
                case 4: Put(bytes, at & ~3, BitConverter.GetBytes(random.Next(2) == 0 ? float.NaN : float.MaxValue)); break;
                case 5: Put(bytes, at, [.. bytes.Skip(random.Next(header)).Take(16)]); break;
                default: if (random.Next(3) == 0) bytes = bytes[..Math.Max(1, at)]; break;
            }
        }

        return bytes;
    }

    // The next run of digits becomes another number of as many digits: shapes, offsets, ranks and factors in JSON.
    private static void Digits(byte[] bytes, int at, Random random)
    {
        while (at < bytes.Length && !char.IsAsciiDigit((char)bytes[at])) at++;
        for (; at < bytes.Length && char.IsAsciiDigit((char)bytes[at]); at++) bytes[at] = Encoding.ASCII.GetBytes("0123456789")[random.Next(10)];
    }

    private static void Put(byte[] bytes, int at, byte[] value)
    {
        for (int i = 0; i < value.Length && at + i < bytes.Length; i++) bytes[at + i] = value[i];
    }
}
