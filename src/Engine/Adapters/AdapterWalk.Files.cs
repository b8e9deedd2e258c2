using System.Text.RegularExpressions;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <content>What the files of one folder are: adapters, or something of which it is said why it is none.</content>
internal sealed partial class AdapterWalk
{
    private Barren Files(string path, string real, string baseFolder, string[] names, List<string> files, bool numbered)
    {
        bool config = files.Contains(PeftAdapterReader.ConfigName), weights = files.Contains(PeftAdapterReader.WeightsName) || files.Contains(PeftAdapterReader.PickleName);
        Barren signs = files.Select(BarrenFolder.SignOf).Aggregate(Barren.Nothing, BarrenFolder.Worse);
        if (files.Contains(CheckpointCompleteness.IncompleteMarker) && !config && !weights)
        {
            LeftOut.Add(new LeftOut(path, LeftOutReason.Incomplete, $"{path} is still being written (it holds {CheckpointCompleteness.IncompleteMarker}) and is skipped.", true));
        }
        else if (config && !weights && files.Any(f => f.EndsWith("adapters.safetensors", StringComparison.Ordinal)))
        {
            LeftOut.Add(new LeftOut(path, LeftOutReason.NoAdapter, $"{path} holds an adapter of mlx-lm, which is not read here; convert it to PEFT.", true));
        }
        else if (!weights && OtherNames(path, files))
        {
            // Said file by file.
        }
        else if (config && !weights && !numbered)
        {
            _configsAlone.Add(new LeftOut(
                path, LeftOutReason.Incomplete, $"{path} holds {PeftAdapterReader.ConfigName} and no weights (some trainers save it before the first step) and is skipped.", false));
        }
        else if (config && !weights && signs == Barren.Sharded)
        {
            LeftOut.Add(new LeftOut(path, LeftOutReason.NoAdapter, BarrenFolder.Sentence(path, signs), true));
        }
        else if (config || weights)
        {
            Peft(path, real, baseFolder, names);
        }

        string[] ggufs = [.. files.Where(IsGguf)];
        foreach (string file in ggufs)
        {
            string place = Path.Combine(real, file);
            if (_visited.Add(place)) Gguf(Path.Combine(path, file), place, baseFolder, [.. names, Path.GetFileNameWithoutExtension(file)], ggufs.Length == 1, given: false);
        }

        foreach (string file in files)
        {
            if (AdapterArchive.IsOne(file)) Archive(Path.Combine(path, file));
        }

        return signs;
    }

    /// <summary>Says which files hold an adapter under a name, or in a form, that PEFT does not give it.</summary>
    /// <returns>Whether there are any.</returns>
    private bool OtherNames(string folder, List<string> files)
    {
        int before = LeftOut.Count;
        foreach (string file in files)
        {
            string path = Path.Combine(folder, file);
            if (file.TrimStart('.').StartsWith(PeftAdapterReader.WeightsName, StringComparison.Ordinal) && !file.EndsWith(".json", StringComparison.Ordinal))
            {
                // adapter_model.safetensors.6eF94AbC, .part, _.gstmp: how programs that copy name what they have not finished.
                CheckpointCompleteness completeness = CheckpointCompleteness.Of(folder, null, _now, _quietTime);
                LeftOut.Add(completeness.State != CheckpointState.Complete ? Adapters.LeftOut.NotReady(folder, completeness)
                    : new LeftOut(path, LeftOutReason.Incomplete, $"{path} is a copy of {PeftAdapterReader.WeightsName} that was never finished; copy it again.", true));
            }
            else if (BarrenFolder.IsPickledAdapter(file))
            {
                LeftOut.Add(new LeftOut(
                    path, LeftOutReason.NoAdapter,
                    $"{path} looks like an adapter in a Python pickle, which is not opened; save it as {PeftAdapterReader.WeightsName} beside its {PeftAdapterReader.ConfigName}.", true));
            }
            else if (file.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) && HoldsLora(path, file))
            {
                string what = Part().IsMatch(file)
                    ? $"is a part of an adapter that is split over several files; join them into one {PeftAdapterReader.WeightsName}"
                    : $"holds LoRA tensors, but is not named as PEFT names it; call it {PeftAdapterReader.WeightsName}";
                LeftOut.Add(new LeftOut(path, LeftOutReason.NoAdapter, $"{path} {what}, in a folder with its {PeftAdapterReader.ConfigName}.", true));
            }
        }

        return LeftOut.Count > before;
    }

    private void Peft(string path, string real, string baseFolder, string[] names)
    {
        if (_unchanged?.Invoke(path) == true)
        {
            Found.Add(new FoundAdapter(path, real, baseFolder, names, IsFile: false, IsOnlyFile: false));
            return;
        }

        PathName[] numbers = [.. names.Select(PathName.OfFolder).Where(n => n.Kind == NameKind.Numbered)];
        CheckpointStep? step = numbers.Length > 0 && numbers[^1].Step is { } number ? CheckpointStep.At(number) : null;
        CheckpointCompleteness completeness = CheckpointCompleteness.Of(path, step, _now, _quietTime);
        if (completeness.State == CheckpointState.Complete) Found.Add(new FoundAdapter(path, real, baseFolder, names, IsFile: false, IsOnlyFile: false));
        else LeftOut.Add(Adapters.LeftOut.NotReady(path, completeness));
    }

    private void Gguf(string path, string real, string baseFolder, string[] names, bool isOnlyFile, bool given)
    {
        // Parts of a split model; adapters are never split.
        if (!given && SplitPart().IsMatch(Path.GetFileName(path)))
        {
            LeftOut.Add(new LeftOut(path, LeftOutReason.Model, $"{path} is a part of a split model, not an adapter, and is skipped.", false));
            return;
        }

        if (_unchanged?.Invoke(path) == true)
        {
            Found.Add(new FoundAdapter(path, real, baseFolder, names, IsFile: true, isOnlyFile));
            return;
        }

        try
        {
            RecognisedFile file = RecognisedFile.Of(GgufFile.Open(path));
            if (file.Kind != FileKind.LoraGguf && !given)
            {
                LeftOut.Add(new LeftOut(path, LeftOutReason.Model, $"{path} is {file.What}, not an adapter, and is skipped.", false));
                return;
            }
        }
        catch (InputFileException e) when (!given && e.InnerException is UnauthorizedAccessException)
        {
            LeftOut.Add(new LeftOut(path, LeftOutReason.Unreadable, $"{path} cannot be read (permission denied) and is skipped.", true));
            return;
        }
        catch (InputFileException)
        {
            // It cannot be told what this is; unless it is being written, it is reported as a checkpoint with its own sentence.
            CheckpointCompleteness completeness = CheckpointCompleteness.Of(path, null, _now, _quietTime);
            if (completeness.State != CheckpointState.Complete)
            {
                LeftOut.Add(Adapters.LeftOut.NotReady(path, completeness));
                return;
            }
        }

        Found.Add(new FoundAdapter(path, real, baseFolder, names, IsFile: true, isOnlyFile));
    }

    private void Archive(string path)
    {
        int adapters;
        try
        {
            if (!path.EndsWith(".zip", StringComparison.OrdinalIgnoreCase)) adapters = AdapterWord().IsMatch(Path.GetFileName(path)) ? -1 : 0;
            else adapters = AdapterArchive.AdaptersIn(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            adapters = -1;
        }

        if (adapters == 0) return;
        string what = adapters > 0 ? $"holds {adapters} adapters and" : "may hold adapters; it";
        LeftOut.Add(new LeftOut(path, LeftOutReason.Archive, $"{path} {what} is not opened; {AdapterArchive.Unpack(path)}.", true));
    }

    private static bool HoldsLora(string path, string name)
    {
        try
        {
            using var file = SafetensorsFile.Open(path);
            return file.Tensors.Keys.Any(k => k.Contains(".lora_", StringComparison.Ordinal) || k.EndsWith(GgufLoraReader.SuffixA, StringComparison.Ordinal));
        }
        catch (InputFileException)
        {
            return AdapterWord().IsMatch(name);
        }
    }

    [GeneratedRegex("adapter|lora|checkpoint|ckpt", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex AdapterWord();

    [GeneratedRegex(@"-\d{5}-of-\d{5}\.safetensors$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex Part();

    [GeneratedRegex(@"-\d{5}-of-\d{5}\.gguf$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex SplitPart();
}
