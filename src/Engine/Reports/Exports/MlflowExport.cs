using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace EmScan.Engine.Reports.Exports;

/// <summary>Rows as metrics of MLflow runs, over its REST API (2.0): one MLflow run for each run, in one experiment.</summary>
/// <remarks>
/// A tracking server that is away does not stop a scan: rows wait, the server is tried again after a pause that grows from 10 seconds to 5
/// minutes, and what could not be sent at the end is remarked. Credentials come from MLflow's own environment variables (MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
/// MLFLOW_TRACKING_PASSWORD) or from the address, and are only sent over https or to this machine.
/// </remarks>
internal sealed class MlflowExport : IScalarExport
{
    /// <summary>What MLflow takes in one call.</summary>
    private const int MetricsPerCall = 1000;

    /// <summary>In bytes; MLflow's are a few hundred. Whatever answers, it is not read without an end.</summary>
    private const int LargestAnswer = 4 << 20;

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(10), LongestPause = TimeSpan.FromMinutes(5);

    private readonly HttpClient _client;
    private readonly string _experiment;
    private readonly Func<string, string?> _environment;
    private readonly Dictionary<string, string> _runs = []; // emscan's run: MLflow's run id
    private readonly Queue<(ScalarRow Row, long Time)> _waiting = new();
    private string? _experimentId;
    private string _problem = "";
    private TimeSpan _pause = FirstPause;
    private long _failed; // when it last did not answer; 0 while it does

    /// <summary>Prepares the export; nothing is sent yet.</summary>
    /// <param name="address">Of the tracking server, http or https.</param>
    /// <param name="experiment">Name of the experiment; made if need be.</param>
    /// <param name="environment">Reads environment variables; the process's when null.</param>
    /// <param name="timeout">Longest time of a call; 10 seconds when null.</param>
    /// <exception cref="EmScanException">The address is not http or https.</exception>
    public MlflowExport(string address, string experiment, Func<string, string?>? environment = null, TimeSpan? timeout = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentException.ThrowIfNullOrEmpty(experiment);
        if (!Uri.TryCreate(address.EndsWith('/') ? address : address + "/", UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("http" or "https"))
            throw new EmScanException("The MLflow tracking server must be an http or https address, such as http://localhost:5000.");
        _experiment = experiment;
        _environment = environment ?? Environment.GetEnvironmentVariable;
        _client = new HttpClient(HttpDelivery.Handler(uri)) { BaseAddress = uri, Timeout = timeout ?? TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = LargestAnswer };
        if (uri.Scheme == Uri.UriSchemeHttps || uri.IsLoopback) _client.DefaultRequestHeaders.Authorization = Credentials(uri);
    }

    /// <inheritdoc/>
    public async ValueTask AddAsync(ScalarRow row, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(row);
        _waiting.Enqueue((row, Now()));
        if (_failed != 0 && Stopwatch.GetElapsedTime(_failed) < _pause) return;
        if (_failed != 0) _pause = _pause * 2 < LongestPause ? _pause * 2 : LongestPause;
        _failed = await SendAsync(cancellationToken) ? 0 : Stopwatch.GetTimestamp();
        if (_failed == 0) _pause = FirstPause;
    }

    /// <inheritdoc/>
    public async ValueTask<Remark?> FinishAsync(CancellationToken cancellationToken = default)
    {
        bool ended = await SendAsync(cancellationToken);
        foreach (string id in _runs.Values)
        {
            if (!ended) break;
            ended = await TryAsync(() => PostAsync("runs/update", new JsonObject { ["run_id"] = id, ["status"] = "FINISHED", ["end_time"] = Now() }, cancellationToken), cancellationToken);
        }

        if (ended) return null;
        string left = _waiting.Count > 0 ? $"{_waiting.Count} rows were not delivered" : "the runs could not be marked as finished";
        return new Remark("mlflow-failed", $"{_client.BaseAddress!.GetComponents(UriComponents.SchemeAndServer, UriFormat.Unescaped)}: {left}: {_problem}.");
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Sends what waits, in order; stops at the first failure.</summary>
    private async Task<bool> SendAsync(CancellationToken cancellationToken)
    {
        while (_waiting.TryPeek(out var next))
        {
            if (!await TryAsync(() => LogAsync(next.Row, next.Time, cancellationToken), cancellationToken)) return false;
            _waiting.Dequeue();
        }

        return true;
    }

    private async Task<bool> TryAsync(Func<Task> call, CancellationToken cancellationToken)
    {
        try
        {
            await call();
            return true;
        }
        catch (HttpRequestException e)
        {
            _problem = e.StatusCode is { } status ? $"it answered {(int)status}" : $"no answer ({e.HttpRequestError})";
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            _problem = $"no answer within {_client.Timeout.TotalSeconds:0.#} seconds";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            _problem = "its answer is not one of MLflow's REST API 2.0";
        }

        return false;
    }

    private async Task LogAsync(ScalarRow row, long time, CancellationToken cancellationToken)
    {
        if (!_runs.TryGetValue(row.Run, out string? id))
        {
            _experimentId ??= await FindExperimentAsync(cancellationToken);
            JsonNode created = await PostAsync(
                "runs/create",
                new JsonObject { ["experiment_id"] = _experimentId, ["run_name"] = row.Run, ["start_time"] = time, ["tags"] = new JsonArray(Tag("emscan.version", EmScanVersion.Text)) },
                cancellationToken);
            id = created["run"]!["info"]!["run_id"]!.GetValue<string>();
            _runs.Add(row.Run, id);
        }

        JsonObject[] metrics =
        [
            .. row.Scalars.Where(s => s.Value is { } v && double.IsFinite(v)).Select(s => new JsonObject
            {
                ["key"] = SafeName.Metric(s.Name), ["value"] = s.Value, ["timestamp"] = time, ["step"] = row.StepNumber ?? 0,
            }),
        ];
        JsonObject verdict = Tag($"emscan.verdict.{SafeName.Metric(row.Step)}", row.Verdict);
        foreach (JsonObject[] chunk in metrics.Chunk(MetricsPerCall))
            await PostAsync("runs/log-batch", new JsonObject { ["run_id"] = id, ["metrics"] = new JsonArray(chunk), ["tags"] = new JsonArray(verdict.DeepClone()) }, cancellationToken);
    }

    private async Task<string> FindExperimentAsync(CancellationToken cancellationToken)
    {
        using HttpResponseMessage found = await _client.GetAsync($"api/2.0/mlflow/experiments/get-by-name?experiment_name={Uri.EscapeDataString(_experiment)}", cancellationToken);
        JsonNode answer = found.StatusCode == HttpStatusCode.NotFound
            ? await PostAsync("experiments/create", new JsonObject { ["name"] = _experiment }, cancellationToken)
            : (await ReadAsync(found, cancellationToken))["experiment"]!;
        return answer["experiment_id"]!.GetValue<string>();
    }

    private async Task<JsonNode> PostAsync(string method, JsonObject body, CancellationToken cancellationToken)
    {
        using var content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await _client.PostAsync($"api/2.0/mlflow/{method}", content, cancellationToken);
        return await ReadAsync(response, cancellationToken);
    }

    private static async Task<JsonNode> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        response.EnsureSuccessStatusCode();
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        return await JsonNode.ParseAsync(stream, cancellationToken: cancellationToken) ?? throw new JsonException("null");
    }

    private AuthenticationHeaderValue? Credentials(Uri address)
    {
        if (_environment("MLFLOW_TRACKING_TOKEN") is { Length: > 0 } token) return new AuthenticationHeaderValue("Bearer", token);
        return _environment("MLFLOW_TRACKING_USERNAME") is { Length: > 0 } user
            ? new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{_environment("MLFLOW_TRACKING_PASSWORD")}")))
            : address.UserInfo.Length > 0 ? new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(Uri.UnescapeDataString(address.UserInfo))))
            : null;
    }

    private static JsonObject Tag(string key, string value) => new() { ["key"] = key, ["value"] = value };

    private static long Now() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
}
