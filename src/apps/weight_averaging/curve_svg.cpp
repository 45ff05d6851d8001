// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string_view>

#include "apps/weight_averaging/curve.hpp"

namespace weight_averaging {
namespace {

/// One panel of the picture, in pixels, and the values at its edges.
struct Panel {
    double left, top, width, height;
    double x_max, y_min, y_max;

    [[nodiscard]] double x(double value) const { return left + value / x_max * width; }
    [[nodiscard]] double y(double value) const {
        return top + (y_max - value) / (y_max - y_min) * height;
    }
};

/// A round step (1, 2 or 5 times a power of ten) that gives about `count` ticks.
double tick_step(double range, double count) {
    const double rough = range / count;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * power >= rough) return factor * power;
    }
    return 10 * power;
}

/// Edges on round numbers around the values, at least `range_min` apart and within 0 .. limit.
void fit_y(Panel& panel, double lowest, double highest, double range_min, double limit) {
    highest = std::min(std::max(highest, lowest + range_min), limit);
    lowest = std::max(std::min(lowest, highest - range_min), 0.0);
    const double step = tick_step(highest - lowest, 5);
    panel.y_min = std::floor(lowest / step + 1e-9) * step;
    panel.y_max = std::min(std::ceil(highest / step - 1e-9) * step, limit);
}

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&': result += "&amp;"; break;
            case '<': result += "&lt;"; break;
            case '>': result += "&gt;"; break;
            default: result += c;
        }
    }
    return result;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
                       anchor, escaped(text));
}

std::string line_between(double x1, double y1, double x2, double y2, std::string_view kind) {
    return fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", kind, x1, y1,
                       x2, y2);
}

std::string images_label(double images) {
    if (images >= 1e6) return fmt::format("{:g}M", images / 1e6);
    return images >= 1000 ? fmt::format("{:g}k", images / 1000) : fmt::format("{:g}", images);
}

/// Numbers on an axis, with as many digits as its steps need.
std::string number_label(double value, double step, std::string_view unit) {
    const int digits = static_cast<int>(std::max(0.0, std::ceil(-std::log10(step) - 1e-9)));
    return fmt::format("{:.{}f}{}", value, digits, unit);
}

std::string axes(const Panel& panel, std::string_view title, std::string_view unit) {
    std::string svg;
    const double step = tick_step(panel.y_max - panel.y_min, 5);
    const int ticks = static_cast<int>(std::round((panel.y_max - panel.y_min) / step));
    for (int i = 0; i <= ticks; ++i) {
        const double value = panel.y_min + i * step;
        svg += line_between(panel.left, panel.y(value), panel.left + panel.width, panel.y(value),
                            "grid");
        svg += text_at(panel.left - 8, panel.y(value) + 4, "end", number_label(value, step, unit));
    }
    const double x_step = tick_step(panel.x_max, 6);
    for (int i = 0; i * x_step <= panel.x_max * (1 + 1e-9); ++i) {
        svg += text_at(panel.x(i * x_step), panel.top + panel.height + 18, "middle",
                       images_label(i * x_step));
    }
    svg += line_between(panel.left, panel.top + panel.height, panel.left + panel.width,
                        panel.top + panel.height, "axis");
    svg += text_at(panel.left, panel.top - 10, "start", title);
    return svg;
}

std::string polyline(const Panel& panel, const Curve& curve, std::string_view kind,
                     const std::function<double(const Point&)>& value) {
    // Above so many points the dots would hide the line.
    constexpr std::size_t dots_max = 40;
    std::string path, dots;
    for (const Point& point : curve) {
        const double x = panel.x(static_cast<double>(point.images)), y = panel.y(value(point));
        path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
        dots +=
            fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", kind, x, y);
    }
    return fmt::format("<path class=\"curve {}\" d=\"{}\"/>\n", kind, path) +
           (curve.size() <= dots_max ? dots : std::string());
}

constexpr std::string_view head = R"(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="720" height="620" viewBox="0 0 720 620">
<style>
text { font: 13px sans-serif; fill: #333 }
.title { font-size: 16px; font-weight: bold }
.grid { stroke: #ddd }
.axis { stroke: #333 }
.curve { fill: none; stroke-width: 2 }
path.accuracy { stroke: #1b6ca8 } circle.accuracy { fill: #1b6ca8 }
path.loss { stroke: #c2571a } circle.loss { fill: #c2571a }
</style>
<rect width="720" height="620" fill="#fff"/>
)";

}  // namespace

std::string curve_svg(const Curve& curve, const std::string& title) {
    std::string svg(head);
    svg += fmt::format("<text class=\"title\" x=\"70\" y=\"32\">{}</text>\n", escaped(title));
    if (curve.empty()) return svg + "</svg>\n";

    const double x_max = static_cast<double>(std::max<std::uint64_t>(curve.back().images, 1));
    Panel accuracy{70, 80, 620, 260, x_max, 0, 1};
    Panel loss{70, 400, 620, 150, x_max, 0, 1};
    const auto [worst, best] = std::ranges::minmax(curve, {}, &Point::accuracy);
    fit_y(accuracy, worst.accuracy * 100, best.accuracy * 100, 1, 100);
    fit_y(loss, 0, std::ranges::max(curve, {}, &Point::loss).loss, 0.01, 1e9);

    svg += axes(accuracy, "test accuracy", " %");
    svg += polyline(accuracy, curve, "accuracy", [](const Point& p) { return p.accuracy * 100; });
    const Point& last = curve.back();
    svg += text_at(accuracy.x(static_cast<double>(last.images)) - 8,
                   accuracy.y(last.accuracy * 100) + 22, "end",
                   fmt::format("{:.2f} %", last.accuracy * 100));
    svg += axes(loss, "training loss (mean of the round)", "");
    svg += polyline(loss, curve, "loss", [](const Point& p) { return p.loss; });
    svg += text_at(380, 600, "middle", "images trained");
    return svg + "</svg>\n";
}

}  // namespace weight_averaging
