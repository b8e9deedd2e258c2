namespace EmScan.Engine.Reports.Exports;

/// <summary>Names that others chose, made fit for places with rules of their own.</summary>
internal static class SafeName
{
    /// <summary>A run's name as a relative path below a folder: never out of it, whatever the name says.</summary>
    internal static string Path(string run)
    {
        string[] parts = [.. run.Split('/', '\\').Where(part => part.Length > 0 && part is not ("." or "..")).Select(File)];
        return parts.Length == 0 ? "run" : string.Join('/', parts);
    }

    /// <summary>Letters, digits, and what MLflow allows beside them: _ - . space and /.</summary>
    internal static string Metric(string name) => string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or ' ' or '/' ? c : '_'));

    private static string File(string part) => string.Concat(part.Select(c => char.IsControl(c) || c is ':' or '*' or '?' or '"' or '<' or '>' or '|' ? '_' : c));
}
