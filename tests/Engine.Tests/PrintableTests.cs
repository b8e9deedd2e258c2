namespace EmScan.Engine.Tests;

public sealed class PrintableTests
{
    [Theory]
    [InlineData("=1+1", "'=1+1")]
    [InlineData("+1", "'+1")]
    [InlineData("-1", "'-1")]
    [InlineData("@SUM(A1)", "'@SUM(A1)")]
    [InlineData("\uFF1D1", "'\uFF1D1")]
    [InlineData("\t=1", "\\t=1")]
    [InlineData("\r=1", "\\r=1")]
    [InlineData("seed_42", "seed_42")]
    [InlineData("a=b", "a=b")]
    [InlineData("", "")]
    public void A_cell_is_no_formula(string text, string cell) => Assert.Equal(cell, Printable.Cell(text));

    [Theory]
    [InlineData("=cmd")]
    [InlineData("-run")]
    [InlineData("'quoted'")]
    [InlineData("plain")]
    [InlineData("")]
    public void What_was_written_as_text_is_read_back(string text) => Assert.Equal(text, Printable.FromCell(Printable.NoFormula(text)));
}
