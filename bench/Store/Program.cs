using System.CommandLine;
using EmScan.Bench.Store;

var folder = new Option<string>("--folder") { Description = "An empty folder; what is written there stays.", Required = true };
var cells = new Option<int>("--cells") { Description = "Cells of the simulated store.", DefaultValueFactory = _ => 1_000_000 };
var width = new Option<int>("--width") { Description = "D: a scan's cell holds the mean hidden state, 4 D bytes, and P (K + 1) values of 8 bytes.", DefaultValueFactory = _ => 96 };
var prompts = new Option<int>("--prompts") { Description = "P.", DefaultValueFactory = _ => 50 };
var size = new Command("size", "Fills a store, and measures opening, appending, looking up and reading all of it.") { folder, cells, width, prompts };
size.SetAction(parsed => SizeBenchmark.Run(parsed.GetValue(folder)!, parsed.GetValue(cells), parsed.GetValue(width), parsed.GetValue(prompts)));

var writers = new Option<int>("--writers") { Description = "Processes that append at the same time.", DefaultValueFactory = _ => 8 };
var minutes = new Option<double>("--minutes") { Description = "How long.", DefaultValueFactory = _ => 10 };
var seed = new Option<int>("--seed") { Description = "When which writer is killed.", DefaultValueFactory = _ => 1 };
var kill = new Command("kill", "Processes append to one store and are killed at random moments; reader.py then says what is lost or torn.") { folder, writers, minutes, seed };
kill.SetAction(parsed => KillTest.RunAsync(parsed.GetValue(folder)!, parsed.GetValue(writers), parsed.GetValue(minutes), parsed.GetValue(seed)));

var number = new Option<int>("--number") { Description = "Of the writer.", Required = true };
var writer = new Command("writer", "One of them.") { folder, number };
writer.Hidden = true;
writer.SetAction(parsed => KillTest.Write(parsed.GetValue(folder)!, parsed.GetValue(number)));

return await new RootCommand("Measures the store of cells.") { size, kill, writer }.Parse(args).InvokeAsync();
