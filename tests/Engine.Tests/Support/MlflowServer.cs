using System.Net;
using System.Net.Sockets;

namespace EmScan.Engine.Tests.Support;

/// <summary>Answers MLflow's calls as its REST API documents them, after some failures, and keeps what it was asked.</summary>
internal sealed class MlflowServer : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _loop;

    internal MlflowServer(int failures)
    {
        Address = $"http://127.0.0.1:{FreePort()}";
        _listener.Prefixes.Add(Address + "/");
        _listener.Start();
        _loop = Task.Run(async () =>
        {
            int runs = 0;
            while (true)
            {
                HttpListenerContext context;
                try
                {
                    context = await _listener.GetContextAsync();
                }
                catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
                {
                    return; // the test is over
                }

                string body = await new StreamReader(context.Request.InputStream).ReadToEndAsync();
                const string Prefix = "/api/2.0/mlflow/";
                Assert.StartsWith(Prefix, context.Request.Url!.AbsolutePath);
                string method = context.Request.Url.AbsolutePath[Prefix.Length..];
                (int status, string answer) = method switch
                {
                    _ when failures-- > 0 => (503, "busy"),
                    "experiments/get-by-name" => (404, """{"error_code": "RESOURCE_DOES_NOT_EXIST"}"""),
                    "experiments/create" => (200, """{"experiment_id": "7"}"""),
                    "runs/create" => (200, "{\"run\": {\"info\": {\"run_id\": \"run-" + ++runs + "\"}}}"),
                    _ => (200, "{}"),
                };
                Calls.Add((method, status, body, context.Request.Headers["Authorization"]));
                context.Response.StatusCode = status;
                try
                {
                    await context.Response.OutputStream.WriteAsync(System.Text.Encoding.UTF8.GetBytes(answer.PadRight(Padding)));
                    context.Response.Close();
                }
                catch (Exception e) when (Padding > 0 && (e is HttpListenerException or IOException or ObjectDisposedException))
                {
                    context.Response.Abort(); // the client has heard enough
                }
            }
        });
    }

    internal string Address { get; }

    /// <summary>Blanks are added to every answer until it is so long.</summary>
    internal int Padding { get; init; }

    internal List<(string Method, int Status, string Body, string? Authorization)> Calls { get; } = [];

    public void Dispose()
    {
        _listener.Close();
        _loop.Wait();
    }

    /// <summary>A port of this machine that nobody listens on.</summary>
    internal static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
