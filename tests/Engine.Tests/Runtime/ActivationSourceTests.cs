using System.Reflection;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Tests.Runtime;

public sealed class ActivationSourceTests
{
    /// <summary>The interface's own bodies are for sources that can do less; a method that is not public does not take their place by itself.</summary>
    [Fact]
    public void Llama_does_itself_all_that_a_source_can_do()
    {
        InterfaceMapping map = typeof(LlamaActivationSource).GetInterfaceMap(typeof(IActivationSource));
        Assert.Empty(map.TargetMethods.Where(method => method.DeclaringType != typeof(LlamaActivationSource)).Select(method => method.ToString()));
    }
}
