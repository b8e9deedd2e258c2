using System.Text;

namespace EmScan.Engine.Formats;

/// <summary>Text files as people's editors and shells leave them: UTF-8, or UTF-16 and UTF-32 with a byte order mark.</summary>
internal static class TextInput
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // The longer marks first: that of UTF-32 LE begins with that of UTF-16 LE.
    private static readonly (byte[] Mark, Encoding Encoding)[] Marked =
    [
        ([0xEF, 0xBB, 0xBF], Strict),
        ([0xFF, 0xFE, 0, 0], new UTF32Encoding(bigEndian: false, byteOrderMark: false, throwOnInvalidCharacters: true)),
        ([0, 0, 0xFE, 0xFF], new UTF32Encoding(bigEndian: true, byteOrderMark: false, throwOnInvalidCharacters: true)),
        ([0xFF, 0xFE], new UnicodeEncoding(bigEndian: false, byteOrderMark: false, throwOnInvalidBytes: true)),
        ([0xFE, 0xFF], new UnicodeEncoding(bigEndian: true, byteOrderMark: false, throwOnInvalidBytes: true)),
    ];

    /// <summary>Reads a text file whole, without its byte order mark.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">Most bytes that such a file can have.</param>
    /// <param name="what">What is read, for the sentence: "a YAML file of traits".</param>
    /// <exception cref="InputFileException">It cannot be read, is larger, or is not text.</exception>
    public static string Read(string path, int limit, string what)
    {
        byte[] bytes = InputFile.ReadSmall(path, limit);
        try
        {
            return Decode(bytes);
        }
        catch (DecoderFallbackException failure)
        {
            throw new InputFileException(path, $"is not text in UTF-8; save {what} as UTF-8", failure);
        }
    }

    /// <summary>The bytes as UTF-8 without a byte order mark, whatever they were; the same array where nothing is to do.</summary>
    public static byte[] ToUtf8(byte[] bytes)
    {
        (byte[] Mark, Encoding Encoding)? found = Find(bytes);
        if (found is not { } marked) return bytes;
        try
        {
            return ReferenceEquals(marked.Encoding, Strict) ? bytes[marked.Mark.Length..] : Encoding.UTF8.GetBytes(Decode(bytes));
        }
        catch (DecoderFallbackException)
        {
            // Not text after all: the reader complains about these bytes.
            return bytes;
        }
    }

    /// <summary>Decodes the head of a file; false when it is not text. A character cut in two at the end is left out.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> head, out string text)
    {
        for (int cut = 0; cut < 4 && cut < head.Length; cut++)
        {
            try
            {
                text = Decode(head[..^cut]);
                return !text.AsSpan().ContainsAny('\0', '\u0001', '\u0002');
            }
            catch (DecoderFallbackException)
            {
                continue;
            }
        }

        text = "";
        return false;
    }

    /// <exception cref="DecoderFallbackException">The bytes are not text.</exception>
    private static string Decode(ReadOnlySpan<byte> bytes) =>
        Find(bytes) is { } marked ? marked.Encoding.GetString(bytes[marked.Mark.Length..]) : Strict.GetString(bytes);

    private static (byte[] Mark, Encoding Encoding)? Find(ReadOnlySpan<byte> bytes)
    {
        foreach ((byte[] mark, Encoding encoding) in Marked)
            if (bytes.StartsWith(mark)) return (mark, encoding);
        return null;
    }
}
