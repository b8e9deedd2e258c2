using System.Text;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>The tokenizer of a model and its special tokens.</summary>
/// <remarks>Immutable and thread safe; usable as long as the model is loaded.</remarks>
public sealed unsafe class Vocabulary
{
    private readonly LlamaApi _api;
    private readonly GgufModel _model;
    private readonly nint _vocab;

    internal Vocabulary(LlamaLibrary library, GgufModel model, nint vocab)
    {
        _api = library.Api;
        _model = model;
        _vocab = vocab;
        Size = _api.VocabSize(vocab);
        Bos = NullIfAbsent(_api.VocabBos(vocab));
        Eos = NullIfAbsent(_api.VocabEos(vocab));
        Pad = NullIfAbsent(_api.VocabPad(vocab));
        AddsBos = _api.VocabAddBos(vocab) != 0;
    }

    /// <summary>Number of tokens, V.</summary>
    public int Size { get; }

    /// <summary>Beginning-of-sequence token, if the vocabulary has one.</summary>
    public int? Bos { get; }

    /// <summary>End-of-sequence token, if the vocabulary has one.</summary>
    public int? Eos { get; }

    /// <summary>Padding token, if the vocabulary has one.</summary>
    public int? Pad { get; }

    /// <summary>Whether plain text is meant to start with <see cref="Bos"/>.</summary>
    public bool AddsBos { get; }

    /// <summary>The text of a token as the vocabulary stores it, "" for null.</summary>
    public string Text(int? token)
    {
        if (token is not { } id) return "";
        ArgumentOutOfRangeException.ThrowIfNegative(id, nameof(token));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, Size, nameof(token));
        GC.KeepAlive(_model);
        return LlamaLibrary.Utf8(_api.VocabText(_vocab, id));
    }

    /// <summary>True for the tokens that end a turn or a text.</summary>
    public bool IsEndOfGeneration(int token) => _api.VocabIsEndOfGeneration(_vocab, token) != 0;

    /// <summary>True for tokens that are not text: those that end a turn, mark a role, or begin a sequence.</summary>
    public bool IsControl(int token) => IsEndOfGeneration(token) || (Detokenize([token]).Length == 0 && Text(token).Length > 0);

    /// <summary>Tokenizes text.</summary>
    /// <param name="text">Text in which special tokens may be spelled out.</param>
    /// <param name="parseSpecial">Whether those spellings become the special tokens (chat prompts) or stay text.</param>
    /// <param name="addSpecial">Whether the vocabulary's own begin and end tokens are added.</param>
    /// <returns>Token ids, possibly none.</returns>
    /// <exception cref="LlamaException">llama.cpp refuses the text.</exception>
    public int[] Tokenize(string text, bool parseSpecial, bool addSpecial)
    {
        ArgumentNullException.ThrowIfNull(text);
        _ = _model.Handle.Pointer;
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        int[] tokens = new int[utf8.Length + 16];
        while (true)
        {
            int count;
            fixed (byte* bytes = utf8)
            fixed (int* ids = tokens)
            {
                byte empty = 0;
                count = _api.Tokenize(_vocab, utf8.Length == 0 ? &empty : bytes, utf8.Length, ids, tokens.Length, Flag(addSpecial), Flag(parseSpecial));
            }

            if (count >= 0) return tokens[..count];
            if (count == int.MinValue || -count <= tokens.Length) throw new LlamaException($"llama.cpp cannot tokenize a text of {utf8.Length} bytes.");
            tokens = new int[-count];
        }
    }

    /// <summary>The text of a sequence of tokens; special tokens are left out.</summary>
    public string Detokenize(ReadOnlySpan<int> tokens)
    {
        _ = _model.Handle.Pointer;
        var bytes = new List<byte>();
        byte[] piece = new byte[64];
        foreach (int token in tokens)
        {
            int length = Piece(token, piece);
            if (length < 0)
            {
                piece = new byte[-length];
                length = Piece(token, piece);
            }

            bytes.AddRange(piece.AsSpan(0, length));
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    private int Piece(int token, byte[] buffer)
    {
        fixed (byte* b = buffer)
            return _api.TokenToPiece(_vocab, token, b, buffer.Length, 0, 0);
    }

    private static byte Flag(bool value) => value ? (byte)1 : (byte)0;

    private static int? NullIfAbsent(int token) => token < 0 ? null : token;
}
