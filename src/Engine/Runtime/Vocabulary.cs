using System.Text;
using EmScan.Engine.Runtime.Native;
using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <summary>The tokenizer of a model and its special tokens.</summary>
/// <remarks>Immutable and thread safe; usable as long as the model is loaded.</remarks>
internal sealed unsafe class Vocabulary
{
    private readonly GgufModel _model;
    private readonly SafeLlamaModelHandle.Vocabulary _vocabulary;

    internal Vocabulary(GgufModel model)
    {
        _model = model;
        _vocabulary = model.Handle.Vocab;
        Size = _vocabulary.Count;
        Bos = (int?)_vocabulary.BOS;
        Eos = (int?)_vocabulary.EOS;
        Pad = (int?)_vocabulary.Pad;
        AddsBos = _vocabulary.ShouldAddBOS;
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
        LlamaImports imports = _model.Library.Imports;
        string text = LlamaLibrary.Utf8(imports.VocabText(imports.ModelGetVocab(_model.Handle.DangerousGetHandle()), id));
        GC.KeepAlive(_model);
        return text;
    }

    /// <summary>True for the tokens that end a turn or a text.</summary>
    public bool IsEndOfGeneration(int token) => ((LLamaToken)token).IsEndOfGeneration(_vocabulary);

    /// <summary>True for tokens that are not text: those that end a turn, mark a role, or begin a sequence.</summary>
    public bool IsControl(int token) => IsEndOfGeneration(token) || (Detokenize([token]).Length == 0 && Text(token).Length > 0);

    /// <summary>Tokenizes text.</summary>
    /// <param name="text">Text in which special tokens may be spelled out.</param>
    /// <param name="parseSpecial">Whether those spellings become the special tokens (chat prompts) or stay text.</param>
    /// <param name="addSpecial">Whether the vocabulary's own begin and end tokens are added.</param>
    /// <returns>Token ids, possibly none.</returns>
    public int[] Tokenize(string text, bool parseSpecial, bool addSpecial)
    {
        ArgumentNullException.ThrowIfNull(text);
        return [.. _model.Handle.Tokenize(text, addSpecial, parseSpecial, Encoding.UTF8).Select(token => (int)token)];
    }

    /// <summary>The text of a sequence of tokens; special tokens are left out.</summary>
    public string Detokenize(ReadOnlySpan<int> tokens)
    {
        _ = _model.Handle;
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

    private int Piece(int token, byte[] buffer) => NativeApi.llama_token_to_piece(_vocabulary, token, buffer, lstrip: 0, special: false);
}
