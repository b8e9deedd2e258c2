using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Reports.Exports;

namespace EmScan.Engine.Running;

/// <summary>Posts alarms as JSON to an address of the user's.</summary>
/// <remarks>
/// <para>Only https, or http to this machine: an alarm names paths and runs. Redirects are not followed, so the address that was given is the
/// only one that is ever asked. With a secret each request carries <c>X-Emscan-Timestamp</c> (Unix seconds) and
/// <c>X-Emscan-Signature: sha256=HEX</c>, the HMAC-SHA256 of "timestamp.body": the receiver can tell who sent it, and that it is not an old one.</para>
/// <para>Thread safe.</para>
/// </remarks>
internal sealed class Webhook : IDisposable
{
    /// <summary>Environment variable with the secret; never an option, which others on the machine could read.</summary>
    public const string SecretVariable = "EMSCAN_WEBHOOK_SECRET";

    private const int Attempts = 4;
    private readonly Uri _address;
    private readonly byte[]? _secret;
    private readonly HttpClient _client;
    private readonly TimeSpan _firstPause;

    /// <summary>Prepares the webhook.</summary>
    /// <param name="address">https, or http to a loopback address.</param>
    /// <param name="secret">Key of the signature; null or empty for none.</param>
    /// <param name="timeout">Longest time of one attempt; 10 seconds when null.</param>
    /// <param name="firstPause">Pause before the second attempt, doubled before each further one; 1 second when null.</param>
    /// <exception cref="EmScanException">The address is of another kind.</exception>
    public Webhook(string address, string? secret, TimeSpan? timeout = null, TimeSpan? firstPause = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) || !(uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback)))
            throw new EmScanException("The webhook must be an https address, or http to this machine (http://localhost:PORT/...).");
        if (uri.UserInfo.Length > 0)
            throw new EmScanException($"The webhook's address must not hold a user name or a password, which would not be sent; sign with {SecretVariable}, or use an address with a token in its path.");
        _address = uri;
        _secret = string.IsNullOrEmpty(secret) ? null : Encoding.UTF8.GetBytes(secret);
        _firstPause = firstPause ?? TimeSpan.FromSeconds(1);
        _client = new HttpClient(HttpDelivery.Handler(uri)) { Timeout = timeout ?? TimeSpan.FromSeconds(10) };
    }

    /// <summary>The address without user name, password, path and query, any of which may hold a secret.</summary>
    public string Host => _address.GetComponents(UriComponents.SchemeAndServer, UriFormat.Unescaped);

    /// <summary>Posts an alarm; up to four attempts where trying again can help (no connection, time-out, 408, 429, 5xx).</summary>
    /// <returns>Null when it was taken (2xx), else a remark that says what happened, without the address's secrets.</returns>
    public async Task<Remark?> PostAsync(Alarm alarm, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        byte[] body = alarm.ToJson();
        string problem = "";
        TimeSpan pause = _firstPause;
        for (int attempt = 1; attempt <= Attempts; attempt++)
        {
            if (attempt > 1)
            {
                await Task.Delay(pause, cancellationToken);
                pause *= 2;
            }

            try
            {
                using HttpRequestMessage request = Request(body);
                using HttpResponseMessage response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
                if (response.IsSuccessStatusCode) return null;
                problem = $"it answered {(int)response.StatusCode}";
                if (!(response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests || (int)response.StatusCode >= 500)) break;
            }
            catch (HttpRequestException e)
            {
                problem = $"no answer ({e.HttpRequestError})";
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                problem = $"no answer within {_client.Timeout.TotalSeconds:0.#} seconds";
            }
        }

        return new Remark("webhook-failed", $"{Host}: the alarm was not delivered: {problem}.");
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private HttpRequestMessage Request(byte[] body)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, _address) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("emscan", EmScanVersion.Text));
        if (_secret != null)
        {
            string timestamp = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            byte[] signed = [.. Encoding.ASCII.GetBytes(timestamp + "."), .. body];
            request.Headers.Add("X-Emscan-Timestamp", timestamp);
            request.Headers.Add("X-Emscan-Signature", "sha256=" + Convert.ToHexStringLower(HMACSHA256.HashData(_secret, signed)));
        }

        return request;
    }
}
