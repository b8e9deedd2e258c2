using System.Net;
using System.Net.Sockets;

namespace EmScan.Engine.Reports.Exports;

/// <summary>How rows and alarms are sent: never to another address than the one given, and without encryption only to this machine itself.</summary>
internal static class HttpDelivery
{
    /// <summary>A handler for an address. Redirects are not followed. Plain http to a loopback name goes round proxies, and only to loopback
    /// addresses, whatever a resolver makes of the name.</summary>
    internal static SocketsHttpHandler Handler(Uri address)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        if (address.Scheme == Uri.UriSchemeHttp && address.IsLoopback)
        {
            handler.UseProxy = false;
            handler.ConnectCallback = ConnectHereAsync;
        }

        return handler;
    }

    private static async ValueTask<Stream> ConnectHereAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        IPAddress[] here = [.. (await Dns.GetHostAddressesAsync(context.DnsEndPoint.Host, cancellationToken).ConfigureAwait(false)).Where(IPAddress.IsLoopback)];
        if (here.Length == 0) throw new HttpRequestException(HttpRequestError.NameResolutionError, "The name is not one of this machine.");
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(here, context.DnsEndPoint.Port, cancellationToken).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
