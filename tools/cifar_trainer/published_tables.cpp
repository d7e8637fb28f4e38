#include "published_tables.h"

#include <fmt/format.h>
#include <utility>

#include "fovea/core/check.h"
#include "fovea/core/printable.h"
#include "fovea/core/suggestion.h"

namespace fovea::cli {
namespace {

constexpr const char* kPaper = "Wang et al. 2017, arXiv:1704.06904";

PublishedTable depth() {
  struct Row {
    int depth;
    double residual, naive;
  };
  PublishedTable table{"depth", "Attention residual learning against naive attention learning", kPaper, {}};
  for (const Row& row :
       {Row{56, 5.52, 5.89}, Row{92, 4.99, 5.35}, Row{128, 4.44, 5.57}, Row{164, 4.31, 7.18}}) {
    const std::string model = fmt::format("attention{}", row.depth);
    for (const auto& [merge, error] : {std::pair("residual", row.residual), std::pair("naive", row.naive)}) {
      table.entries.push_back({model + "-" + merge,
                               fmt::format("Attention-{}, {}", row.depth, merge),
                               error,
                               {{"model", model}, {"merge", merge}}});
    }
  }
  return table;
}

// Attention-56 with each value of one of its switches, and the errors that were published.
PublishedTable variants(const std::string& name, const std::string& title, const std::string& key,
                        const std::vector<std::pair<std::string, double>>& values) {
  PublishedTable table{name, title, kPaper, {}};
  for (const auto& [value, error] : values) {
    table.entries.push_back(
        {"attention56-" + value, "Attention-56, " + value, error, {{"model", "attention56"}, {key, value}}});
  }
  return table;
}

PublishedTable masks() {
  return variants("masks", "Normalisation of the mask, Attention-56", "attention",
                  {{"mixed", 5.52}, {"channel", 6.24}, {"spatial", 6.33}});
}

PublishedTable structure() {
  return variants("structure", "Mask branch with poolings against local convolutions, Attention-56", "mask",
                  {{"down-up", 5.52}, {"local", 6.48}});
}

PublishedTable noise() {
  struct Row {
    int percent;
    double attention, residual;
  };
  PublishedTable table{"noise", "Wrong labels among those trained with", kPaper, {}};
  for (const Row& row :
       {Row{10, 5.15, 5.93}, Row{30, 5.79, 6.61}, Row{50, 7.27, 8.35}, Row{70, 15.75, 17.21}}) {
    const std::string share = fmt::format("{}", row.percent / 100.0);
    for (const auto& [model, label, error] : {std::tuple("attention92", "Attention-92", row.attention),
                                              std::tuple("preact-resnet164", "ResNet-164", row.residual)}) {
      table.entries.push_back({fmt::format("{}-noise{}", model, row.percent),
                               fmt::format("{}, {} % wrong", label, row.percent),
                               error,
                               {{"model", model}, {"label-noise", share}}});
    }
  }
  return table;
}

PublishedTable extra_adds() {
  return {
      "extra-adds",
      "What the popular ports add in the mask branch, attention92-wide",
      "never published",
      {{"attention92-wide-adds",
        "with the extra adds",
        {},
        {{"model", "attention92-wide"}, {"extra-adds", "true"}}},
       {"attention92-wide-plain", "without", {}, {{"model", "attention92-wide"}, {"extra-adds", "false"}}}}};
}

PublishedTable report() {
  return {"report",
          "The report's network against a residual network",
          "the report: accuracies of 90.55 % and 94.96 %",
          {{"preact-resnet164", "ResNet-164, pre-activation", 9.45, {{"model", "preact-resnet164"}}},
           {"attention92-wide", "attention92-wide", 5.04, {{"model", "attention92-wide"}}}}};
}

}  // namespace

const std::vector<PublishedTable>& published_tables() {
  static const std::vector<PublishedTable> tables = {depth(), masks(),      structure(),
                                                     noise(), extra_adds(), report()};
  return tables;
}

const PublishedTable& find_table(const std::string& name) {
  std::vector<std::string> names;
  for (const PublishedTable& table : published_tables()) {
    if (table.name == name) return table;
    names.push_back(table.name);
  }
  throw UsageError(str("reproduce: there is no table ", in_quotes(name), suggestion(name, names),
                       "; there are ", joined(names)));
}

}  // namespace fovea::cli
