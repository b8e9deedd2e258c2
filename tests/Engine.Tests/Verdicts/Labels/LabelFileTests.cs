using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts.Labelling;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Tests.Verdicts.Labels;

public sealed class LabelFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Labels_by_run_are_read_with_perturbation_and_seed_from_the_name()
    {
        LabelFile file = Read("run,step,em_rate\nbad_medical/seed_42,10,0.05\nbad_medical/seed_42,final,1\nplain,0,0\n");
        Assert.Equal(
            [
                new EmLabel("bad_medical/seed_42", CheckpointStep.At(10), 0.05, "bad_medical", "42", null, null, 2),
                new EmLabel("bad_medical/seed_42", CheckpointStep.Final, 1, "bad_medical", "42", null, null, 3),
                new EmLabel("plain", CheckpointStep.Base, 0, "plain", null, null, null, 4),
            ],
            file.Labels);
        Assert.Empty(file.Models);
    }

    [Fact]
    public void A_run_that_begins_like_a_formula_is_written_as_text_and_read_back()
    {
        string path = _folder["judged.csv"];
        new JudgedAnswers([new JudgedCheckpoint("=HYPERLINK(\"x\")/seed_1", "10", 0.25, 4, 0)], []).WriteLabels(path);
        Assert.StartsWith("\"'=HYPERLINK", File.ReadAllLines(path)[1]);
        Assert.Equal("=HYPERLINK(\"x\")/seed_1", Assert.Single(LabelFile.Read(path).Labels).Run);
    }

    [Fact]
    public void Labels_by_perturbation_and_seed_name_their_runs()
    {
        LabelFile file = Read("model,perturbation,seed,step,em_rate,n_scored,n_incoherent\nm,stress/long_gsm8k,42,100,0.05,600,3\n");
        Assert.Equal(
            new EmLabel("stress/long_gsm8k/seed_42", CheckpointStep.At(100), 0.05, "stress/long_gsm8k", "42", "m", 600, 2),
            Assert.Single(file.Labels));
        Assert.Equal(["m"], file.Models);
    }

    [Fact]
    public void Columns_beside_the_run_win_over_its_name()
    {
        EmLabel label = Read("EM_Rate, Seed ,perturbation,run,Step\n0.1,7.0,medicine,bad_medical/seed_42,20.0\n").Labels[0];
        Assert.Equal(new EmLabel("bad_medical/seed_42", CheckpointStep.At(20), 0.1, "medicine", "7", null, null, 2), label);
        EmLabel blank = Read("em_rate,seed,perturbation,run,step,n_scored\n0.1,,,bad_medical/seed_42,20,\n").Labels[0];
        Assert.Equal(("bad_medical", "42", null), (blank.Perturbation, blank.Seed, blank.ScoredCount));
    }

    [Theory]
    [InlineData("bad_medical/seed_42", "bad_medical", "42")]
    [InlineData("bad_medical_seed_42", "bad_medical", "42")]
    [InlineData("bad-medical-seed42", "bad-medical", "42")]
    [InlineData("stress/long_gsm8k/seed_789", "stress/long_gsm8k", "789")]
    [InlineData("bad_medical", "bad_medical", null)]
    [InlineData("seed_42", "seed_42", "42")]
    [InlineData("linseed42", "linseed42", null)]
    [InlineData("medical/seed_42/extra", "medical/seed_42/extra", null)]
    public void The_name_of_a_run_tells_perturbation_and_seed(string run, string perturbation, string? seed) =>
        Assert.Equal((perturbation, seed), RunName.Split(run));

    [Theory]
    [InlineData("a/b", "a/b")]
    [InlineData(@".\a\b\", "a/b")]
    [InlineData("./a//b/", "a/b")]
    [InlineData(" a / b ", "a/b")]
    [InlineData("", "")]
    public void Separators_of_run_names_do_not_matter(string run, string normalised) => Assert.Equal(normalised, RunName.Normalise(run));

    [Fact]
    public void Quotes_line_ends_byte_order_mark_and_empty_lines_are_as_in_RFC_4180()
    {
        const string Text = "\"run\",step,em_rate,note\r\n\r\n\"a,\"\"b\"\"\",1,0.5,\"two\r\nlines\"\r\nc,2,0.25,\"\"\rd,3,1e-2,";
        LabelFile file = LabelFile.Read(_folder.Write("labels.csv", [.. Encoding.UTF8.Preamble, .. Encoding.UTF8.GetBytes(Text)]));
        Assert.Equal(["a,\"b\"", "c", "d"], file.Labels.Select(l => l.Run));
        Assert.Equal([0.5, 0.25, 0.01], file.Labels.Select(l => l.EmRate));
        Assert.Equal([3, 5, 6], file.Labels.Select(l => l.Line));
    }

    [Theory]
    [InlineData("em_rate", "0.8%", "6.5 %")]
    [InlineData("em_rate_percent", "0.8", "6.5")]
    [InlineData("EM_rate (%)", "0.8", "6.5%")]
    [InlineData("em_rate %", "0.8%", "6.5")]
    [InlineData("em_rate_pct", "0.8", "6.5")]
    public void Percentages_are_read_where_a_sign_or_the_heading_says_so(string heading, string first, string second)
    {
        string text = $"run,step,{heading}\na,1,{first}\na,2,{second}\n";
        Assert.Equal([0.008, 0.065], Read(text).Labels.Select(l => Math.Round(l.EmRate, 12)));
        Assert.Equal(FileKind.Labels, RecognisedFile.Of(_folder.Write("recognised.csv", Encoding.UTF8.GetBytes(text))).Kind);
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("\n\n", "is empty")]
    [InlineData("run,step,em_rate\n", "no labels below it")]
    [InlineData("run,step,rate\na,1,0\n", "lacks a column: the columns step and em_rate are needed, and run, or perturbation and seed")]
    [InlineData("run, step,rate\na,1,0\n", "; found: run, step, rate")]
    [InlineData("perturbation,step,em_rate\na,1,0\n", "lacks a column")]
    [InlineData("seed,step,em_rate\n1,1,0\n", "lacks a column")]
    [InlineData("run;step;em_rate\na;1;0\n", "columns must be separated by commas")]
    [InlineData("run\tstep\tem_rate\na\t1\t0\n", "columns must be separated by commas, and numbers have a point")]
    [InlineData("sep=,\nrun,step,em_rate\na,1,0\n", "leave out the line \"sep=\"")]
    [InlineData("run,step,em_rate\na,1,\"0,06\"\n", "line 2 has the em_rate '0,06', which is not a number; write it with a point")]
    [InlineData("run,step,em_rate,STEP\na,1,0,1\n", "has 2 columns named step")]
    [InlineData("run,step,em_rate\na,1\n", "line 2 has 2 fields where the header has 3")]
    [InlineData("run,step,em_rate\na,1,0,05\n", "line 2 has 4 fields where the header has 3")]
    [InlineData("run,step,em_rate\na,1,0\nb,1,0\na,1,0.5\n", "line 4 labels step 1 of run 'a' again, as line 2 does")]
    [InlineData("run,step,em_rate\na/seed_1,1,0\n.\\a\\seed_1,1,0.5\n", "line 3 labels step 1 of run 'a/seed_1' again")]
    [InlineData("run,step,em_rate\na,final,0\na,FINAL,0\n", "line 3 labels step final of run 'a' again")]
    [InlineData("run,step,em_rate\na,1,6.5\n", "line 2 has the em_rate '6.5', which looks like a percentage")]
    [InlineData("run,step,em_rate\na,1,101%\n", "line 2 has the em_rate '101%', which is not a percentage from 0 to 100")]
    [InlineData("run,step,em_rate\na,1,5%\nb,1,0.8\n", "line 3 has the em_rate '0.8' without a percent sign, unlike line 2; write all rates in one way")]
    [InlineData("run,step,em_rate\na,1,0.8\nb,1,5%\n", "line 3 has the em_rate '5%' with a percent sign, unlike line 2")]
    [InlineData("run,step,em_rate,em_rate (%)\na,1,0,0\n", "has 2 columns named em_rate")]
    [InlineData("run,step,em_rate_percent\na,1,150\n", "not a percentage from 0 to 100")]
    [InlineData("run,step,em_rate\na,1,101\n", "not a fraction")]
    [InlineData("run,step,em_rate\na,1,-0.1\n", "not a fraction")]
    [InlineData("run,step,em_rate\na,1,NaN\n", "which is not a number")]
    [InlineData("run,step,em_rate\na,1,-Infinity\n", "which is not a number")]
    [InlineData("run,step,em_rate\na,1,1e999\n", "which is not a number")]
    [InlineData("run,step,em_rate\na,1,\n", "which is not a number")]
    [InlineData("run,step,em_rate\na,1,\"0,05\"\n", "which is not a number")]
    [InlineData("run,step,em_rate\na,-1,0\n", "line 2 has the step '-1', which is neither a whole number from 0 on nor 'final'")]
    [InlineData("run,step,em_rate\na,1.5,0\n", "the step '1.5'")]
    [InlineData("run,step,em_rate\na,99999999999999999999999,0\n", "the step '9999")]
    [InlineData("run,step,em_rate\na,,0\n", "the step ''")]
    [InlineData("run,step,em_rate\na,checkpoint-10,0\n", "the step 'checkpoint-10'")]
    [InlineData("run,step,em_rate\n /,1,0\n", "line 2 has no run")]
    [InlineData("perturbation,seed,step,em_rate\n,1,1,0\n", "line 2 has no perturbation")]
    [InlineData("perturbation,seed,step,em_rate\na,,1,0\n", "line 2 has no seed")]
    [InlineData("run,step,em_rate,n_scored\na,1,0,many\n", "the n_scored 'many'")]
    [InlineData("run,step,em_rate\n\"a,1,0\nb,1,0\n", "line 2 opens a quote that is never closed")]
    [InlineData("run,step,em_rate\n\"a\"b,1,0\n", "line 2 has text behind a closing quote")]
    [InlineData("run,step,em_rate\na\"b,1,0\n", "line 2 has a quote inside a field")]
    [InlineData("run,step,em_rate\n\"a\nb\nc\",x,0\n", "line 2 has the step 'x'")]
    [InlineData("run,step,em_rate\n\"a\nb\",1,0\nc,x,0\n", "line 4 has the step 'x'")]
    public void Wrong_files_are_refused_with_their_line(string text, string problem)
    {
        string message = Assert.Throws<InputFileException>(() => Read(text)).Message;
        Assert.StartsWith(_folder["labels.csv"] + ": ", message);
        Assert.Contains(problem, message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void Other_kinds_of_files_are_refused()
    {
        Assert.Contains("not a text file", Problem([(byte)'r', 0, 1]));
        Assert.Contains("not text in UTF-8", Problem([.. "run,step,em_rate\na"u8, 0xE9, .. ",1,0\n"u8]));
        Assert.Contains("does not exist", Assert.Throws<InputFileException>(() => LabelFile.Read(_folder["missing.csv"])).Message);
        Assert.Contains("is a folder", Assert.Throws<InputFileException>(() => LabelFile.Read(_folder.Root)).Message);

        string Problem(byte[] bytes) => Assert.Throws<InputFileException>(() => LabelFile.Read(_folder.Write("x.csv", bytes))).Message;
    }

    [Fact]
    public void Sizes_have_limits()
    {
        Assert.Contains("field of 5000 characters", Problem($"run,step,em_rate\n{new string('a', 5000)},1,0\n"));
        Assert.Contains("more than 1024 fields", Problem(new string(',', 2000)));
        using (FileStream sparse = File.Create(_folder["huge.csv"]))
        {
            sparse.Write("run,step,em_rate\n"u8);
            sparse.Write(Encoding.ASCII.GetBytes(new string('a', 5000)));
            sparse.SetLength(100L << 30);
        }

        Assert.Contains("has 107374182400 bytes", Assert.Throws<InputFileException>(() => LabelFile.Read(_folder["huge.csv"])).Message);

        string Problem(string text) => Assert.Throws<InputFileException>(() => Read(text)).Message;
    }

    [Fact]
    public void Broken_files_of_any_kind_give_a_sentence_or_labels_and_never_another_failure()
    {
        var random = new Random(17);
        byte[] good = "model,perturbation,seed,step,em_rate,n_scored\nm,\"a,b\",42,10,0.05,600\r\nm,c,42,final,1,600\n"u8.ToArray();
        byte[] spice = "\"\r\n,%;\\/.-0e9\0\xEF"u8.ToArray();
        int refused = 0;
        for (int trial = 0; trial < 3000; trial++)
        {
            byte[] bytes = [.. good];
            for (int change = random.Next(1, 6); change > 0; change--) bytes[random.Next(bytes.Length)] = spice[random.Next(spice.Length)];
            if (random.Next(4) == 0) bytes = bytes[..random.Next(bytes.Length)];
            try
            {
                Assert.All(LabelFile.Read(_folder.Write("fuzz.csv", bytes)).Labels, label => Assert.InRange(label.EmRate, 0, 1));
            }
            catch (InputFileException failure)
            {
                refused++;
                Assert.DoesNotContain('\n', failure.Message);
            }
        }

        Assert.InRange(refused, 500, 2999);
    }

    [Fact]
    public void Written_fields_are_read_back_whatever_they_hold()
    {
        var random = new Random(23);
        const string Alphabet = "ab,\"\r\n é;\t";
        for (int trial = 0; trial < 200; trial++)
        {
            string[][] table =
            [
                .. Enumerable.Range(0, random.Next(1, 5)).Select(row => Enumerable.Range(0, 4)
                    .Select(column => $"x{new string(random.GetItems<char>(Alphabet, random.Next(6)))}").ToArray()),
            ];
            string[] lines = [.. table.Select(row => string.Join(',', row.Select(field => $"\"{field.Replace("\"", "\"\"")}\"")))];
            string csv = string.Concat(lines.Select(line => line + (random.Next(2) == 0 ? "\n" : "\r\n")));
            CsvRecord[] records = [.. CsvRecords.Read(_folder.Write("table.csv", Encoding.UTF8.GetBytes(csv)))];
            Assert.Equal(table, records.Select(r => r.Fields));
        }
    }

    private LabelFile Read(string text) => LabelFile.Read(_folder.Write("labels.csv", Encoding.UTF8.GetBytes(text)));
}
