namespace EmScan.Engine.Chat;

/// <content>Filters of sequences and mappings.</content>
internal static partial class ChatFilters
{
    private static object? OrUndefined(IEnumerable<object?> items)
    {
        foreach (object? item in items) return item;
        return new PyUndefined("the sequence is empty");
    }

    private static PyIterator Batch(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("batch"), 1, "linecount", "fill_with");
        long size = Count(context, "batch", bound[0], 0);
        object? fill = Given(bound[1]) ? bound[1] : null;
        return new PyIterator(Rows());

        IEnumerable<object?> Rows()
        {
            var row = new List<object?>();
            foreach (object? item in PyOperators.Iterate(context, value))
            {
                if (row.Count == size)
                {
                    yield return new PyList([.. row]);
                    row.Clear();
                }

                row.Add(item);
            }

            if (row.Count == 0) yield break;
            if (fill is not null && row.Count < size)
            {
                context.ChargeItems(size);
                row.AddRange(Enumerable.Repeat(fill, (int)size - row.Count));
            }

            yield return new PyList([.. row]);
        }
    }

    private static PyIterator Slice(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("slice"), 1, "slices", "fill_with");
        long slices = Count(context, "slice", bound[0], 0);
        object? fill = Given(bound[1]) ? bound[1] : null;
        return new PyIterator(Columns());

        IEnumerable<object?> Columns()
        {
            object?[] items = PyOperators.ToArray(context, value);
            if (slices == 0) throw context.Error("division by zero");
            int start = 0;
            for (long column = 0; column < slices; column++)
            {
                context.Step();
                bool isLonger = column < items.Length % slices;
                int length = (int)(items.Length / slices) + (isLonger ? 1 : 0);
                object?[] part = items[start..(start + length)];
                start += length;
                yield return new PyList(fill is not null && !isLonger ? [.. part, fill] : part);
            }
        }
    }

    private static PyList DictSort(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("dictsort"), 0, "case_sensitive", "by", "reverse");
        if (value is not PyDict dict) throw context.WrongType($"{Callee("dictsort")} needs a mapping", value);
        int position = (Given(bound[1]) ? bound[1] : "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw context.Error($"{Callee("dictsort")} sorts by \"key\" or \"value\" only"),
        };
        bool caseSensitive = Flag(bound[0]);
        return new PyList(PySort.Sorted(context, new PyView(dict, "items").Items, Key, Flag(bound[2])));

        object? Key(object? pair) => FoldCase(context, ((PyTuple)pair!).Items[position], caseSensitive);
    }

    private static object? FoldCase(RenderContext context, object? value, bool caseSensitive) =>
        caseSensitive || PyOperators.AsText(value) is not { } text ? value : PyText.Lower(context, text);

    private static PyList GroupBy(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("groupby"), 1, "attribute", "default", "case_sensitive");
        bool caseSensitive = Flag(bound[2]);
        object? otherwise = Given(bound[1]) ? bound[1] : null;
        var groups = new List<(object? Key, object? Grouper, List<object?> Members)>();
        foreach (object? item in PySort.Sorted(context, PyOperators.Iterate(context, value), Key, reverse: false))
        {
            object? key = Key(item);
            if (groups.Count == 0 || !PyOperators.SameOrEqual(context, groups[^1].Key, key))
                groups.Add((key, Look(context, item, bound[0], otherwise), []));
            groups[^1].Members.Add(item);
        }

        return new PyList([.. groups.Select(group => new PyGroup(group.Grouper, new PyList([.. group.Members])))]);

        object? Key(object? item) => FoldCase(context, Look(context, item, bound[0], otherwise), caseSensitive);
    }

    private static PyIterator Items(RenderContext context, object? value)
    {
        return new PyIterator(Pairs());

        IEnumerable<object?> Pairs()
        {
            if (value is PyUndefined) yield break;
            if (value is not PyDict dict) throw context.WrongType($"{Callee("items")} needs a mapping", value);
            foreach (object? pair in new PyView(dict, "items").Items) yield return pair;
        }
    }

    private static object Length(RenderContext context, object? value) =>
        PyOperators.TryLength(value) ?? throw context.Error($"a value of type '{PyOperators.TypeName(value)}' has no length");

    /// <summary>What the parameter attribute of map, sort and others looks up: "name", "inner.name" or "list.0", or an index.</summary>
    private static object? Look(RenderContext context, object? item, object? attribute, object? otherwise)
    {
        foreach (object? part in Parts(attribute))
        {
            context.Step();
            item = PyAccess.GetItem(context, item, part);
            if (otherwise is not null && item is PyUndefined) item = otherwise;
        }

        return item;
    }

    private static IEnumerable<object?> Parts(object? attribute) => attribute switch
    {
        null => [],
        string text => text.Split('.').Select(part => IsIndex(part) ? long.Parse(part) : (object?)part),
        _ => [attribute],
    };

    private static bool IsIndex(string part) => part.Length is > 0 and < 18 && part.All(char.IsAsciiDigit);

    private static PyIterator Map(RenderContext context, object? value, CallArguments arguments)
    {
        return new PyIterator(Mapped());

        IEnumerable<object?> Mapped()
        {
            if (!PyOperators.Truth(value)) yield break;
            Func<object?, object?> map = Mapping();
            foreach (object? item in PyOperators.Iterate(context, value)) yield return map(item);
        }

        Func<object?, object?> Mapping()
        {
            if (arguments.Positional.Count == 0 && arguments.Named.Any(named => named.Key == "attribute"))
            {
                object?[] bound = arguments.Bind(context, Callee("map"), 0, "attribute", "default");
                object? otherwise = Given(bound[1]) ? bound[1] : null;
                return item => Look(context, item, bound[0], otherwise);
            }

            if (arguments.Positional.Count == 0) throw context.Error($"{Callee("map")} needs the name of a filter or an attribute");
            string name = arguments.Positional[0] as string ?? throw context.Error($"{Callee("map")} needs the name of a filter");
            CallArguments rest = arguments.Skip(1);
            return item => Apply(context, name, item, rest);
        }
    }

    private static PyIterator Select(RenderContext context, string name, object? value, CallArguments arguments)
    {
        bool byAttribute = name.EndsWith("attr", StringComparison.Ordinal);
        bool wanted = name.StartsWith("select", StringComparison.Ordinal);
        return new PyIterator(Selected());

        IEnumerable<object?> Selected()
        {
            if (!PyOperators.Truth(value)) yield break;
            int testAt = byAttribute ? 1 : 0;
            if (arguments.Positional.Count < testAt) throw context.Error($"{Callee(name)} needs the name of an attribute");
            bool hasTest = arguments.Positional.Count > testAt;
            string? test = hasTest ? arguments.Positional[testAt] as string : "";
            if (test is null) throw context.Error($"{Callee(name)} needs the name of a test");
            CallArguments rest = arguments.Skip(testAt + 1);
            foreach (object? item in PyOperators.Iterate(context, value))
            {
                object? subject = byAttribute ? Look(context, item, arguments.Positional[0], null) : item;
                bool passes = hasTest ? ChatTests.Apply(context, test, subject, rest) : PyOperators.Truth(subject);
                if (passes == wanted) yield return item;
            }
        }
    }

    private static object? Extreme(RenderContext context, string name, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee(name), 0, "case_sensitive", "attribute");
        object? best = null;
        object? bestKey = null;
        bool any = false;
        foreach (object? item in PyOperators.Iterate(context, value))
        {
            object? key = FoldCase(context, Given(bound[1]) ? Look(context, item, bound[1], null) : item, Flag(bound[0]));
            bool better = !any || (name == "min" ? PyOperators.Less(context, key, bestKey) : PyOperators.Less(context, bestKey, key));
            if (better) (best, bestKey) = (item, key);
            any = true;
        }

        return any ? best : new PyUndefined("there is nothing to take the " + name + " of");
    }

    private static object Reverse(RenderContext context, object? value) => value switch
    {
        string text => PyAccess.Slice(context, text, null, null, -1L)!,
        PyMarkup => throw PyOperators.MarkupUse(context, Callee("reverse")),
        PyList or PyTuple or PyDict or PyRange or PyView => new PyIterator(Reversed(context, value)),
        _ => new PyList([.. PyOperators.ToArray(context, value).Reverse()]),
    };

    /// <summary>Python's reversed(value).</summary>
    private static IEnumerable<object?> Reversed(RenderContext context, object? value) =>
        value is null or PyIterator or LoopContext || PyOperators.TryLength(value) is null
            ? throw context.Error($"a value of type '{PyOperators.TypeName(value)}' cannot be reversed")
            : PyOperators.ToArray(context, value).Reverse();

    private static PyList Sort(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("sort"), 0, "reverse", "case_sensitive", "attribute");
        bool caseSensitive = Flag(bound[1]);
        object? attribute = Given(bound[2]) ? bound[2] : null;
        object?[] attributes = attribute is string text ? [.. text.Split(',')] : [attribute];
        return new PyList(PySort.Sorted(context, PyOperators.Iterate(context, value), Key, Flag(bound[0])));

        object? Key(object? item) =>
            new PyList([.. attributes.Select(one => FoldCase(context, Look(context, item, one, null), caseSensitive))]);
    }

    private static object? Sum(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("sum"), 0, "attribute", "start");
        object? total = Given(bound[1]) ? bound[1] : 0L;
        if (total is string) throw context.Error("strings cannot be summed");
        object? attribute = Given(bound[0]) ? bound[0] : null;
        foreach (object? item in PyOperators.Iterate(context, value))
            total = PyOperators.Arithmetic(context, "+", total, Look(context, item, attribute, null));
        return total;
    }

    private static PyIterator Unique(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("unique"), 0, "case_sensitive", "attribute");
        return new PyIterator(Distinct());

        IEnumerable<object?> Distinct()
        {
            var seen = new PyDict();
            foreach (object? item in PyOperators.Iterate(context, value))
            {
                object? key = FoldCase(context, Given(bound[1]) ? Look(context, item, bound[1], null) : item, Flag(bound[0]));
                if (seen.TryGet(PyOperators.HashableKey(context, key), out _)) continue;
                seen.Set(key, null);
                yield return item;
            }
        }
    }
}
