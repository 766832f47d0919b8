#pragma once

#include <csignal>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <tocsin/event.hpp>

namespace tocsin {

/// The kinds of handler: see class handler.
enum class handler_kind : unsigned char { default_action, ignore, callable, foreign };

/// The two dispositions that are not functions. Equal in meaning to the macros SIG_DFL and SIG_IGN, which are accepted
/// too.
enum class disposition { default_action, ignore };
inline constexpr disposition default_action = disposition::default_action;
inline constexpr disposition ignore = disposition::ignore;

[[nodiscard]] TOCSIN_API std::string to_string(disposition what);
TOCSIN_API std::ostream& operator<<(std::ostream& out, disposition what);

namespace detail {
class registry;

struct callable_base {
    virtual ~callable_base() = default;
    virtual void call(const event&) = 0;
    [[nodiscard]] virtual const std::type_info& type() const noexcept = 0;
    [[nodiscard]] virtual void* target() noexcept = 0;
    [[nodiscard]] virtual bool same(callable_base&) noexcept = 0;
};

template <class F>
struct callable final : callable_base {
    template <class G>
    explicit callable(G&& g)
        : function(std::forward<G>(g))
    {}
    void call(const event& e) override
    {
        if constexpr (std::is_invocable_v<F&, const event&>)
            std::invoke(function, e);
        else if constexpr (std::is_invocable_v<F&, signum>)
            std::invoke(function, e.signo);
        else
            std::invoke(function);
    }
    [[nodiscard]] const std::type_info& type() const noexcept override { return typeid(F); }
    [[nodiscard]] void* target() noexcept override { return std::addressof(function); }
    [[nodiscard]] bool same(callable_base& other) noexcept override
    {
        if constexpr (std::is_pointer_v<F>)
            return other.type() == typeid(F) && *static_cast<F*>(other.target()) == function;
        else
            return this == &other;
    }
    F function;
};

template <class F>
concept handler_function =
    std::is_invocable_v<F&, const event&> || std::is_invocable_v<F&, signum> || std::is_invocable_v<F&>;

// Pointers and wrappers such as std::function; not a lambda, which only converts to a pointer (unary + shows that).
template <class F>
concept nullable = std::is_pointer_v<F> ||(
    std::is_class_v<F>&& requires(F& f) { static_cast<bool>(f); } && !requires(F & f) { +f; });

[[noreturn]] TOCSIN_API void refuse_empty_handler();
} // namespace detail

/// What happens when a signal arrives: the default action, nothing, a callable of this program, or a foreign handler
/// that other code installed (which can be put back, but not called through here).
/// A value: copies share the callable, so what signal() returned can be installed again and is still the same object.
class TOCSIN_API handler {
public:
    using kind = handler_kind;

    handler() noexcept = default;

    handler(disposition what) noexcept
        : kind_(what == disposition::ignore ? kind::ignore : kind::default_action)
    {}
    /// SIG_DFL, SIG_IGN or an ordinary function that takes the signal's number.
    /// Errors: std::invalid_argument for SIG_ERR and SIG_HOLD.
    handler(void (*function)(int));
    handler(std::nullptr_t) = delete;

    /// Any callable that takes (const event&), (signum or int), or nothing; the first form that fits is used. Runs
    /// later at a safe point of the main thread, never inside the signal handler: it may do anything, throwing
    /// included.
    /// Errors: std::invalid_argument for an empty std::function or a null pointer.
    template <class F>
    requires(detail::handler_function<std::decay_t<F>> && !std::is_same_v<std::remove_cvref_t<F>, handler> &&
             !std::is_same_v<std::decay_t<F>, void (*)(int)>) handler(F&& function)
        : kind_(kind::callable)
    {
        if constexpr (detail::nullable<std::decay_t<F>> && !std::is_function_v<std::remove_reference_t<F>>) {
            if (!static_cast<bool>(function))
                detail::refuse_empty_handler();
        }
        callable_ = std::make_shared<detail::callable<std::decay_t<F>>>(std::forward<F>(function));
    }

    [[nodiscard]] kind type() const noexcept { return kind_; }
    [[nodiscard]] bool is_callable() const noexcept { return kind_ == kind::callable; }
    [[nodiscard]] bool is_foreign() const noexcept { return kind_ == kind::foreign; }

    /// The callable, if it is an F; else null. Lives as long as a copy of this handler does.
    template <class F>
    [[nodiscard]] F* target() const noexcept
    {
        if (kind_ != kind::callable || callable_->type() != typeid(F))
            return nullptr;
        return static_cast<F*>(callable_->target());
    }

    /// Calls the callable. Nothing happens for the other kinds.
    void operator()(const event& e) const
    {
        if (kind_ == kind::callable)
            callable_->call(e);
    }

    /// The same kind, and the same callable: one object (copies of a handler share it), or equal function pointers.
    [[nodiscard]] friend bool operator==(const handler& a, const handler& b) noexcept { return equal(a, b); }
    [[nodiscard]] friend bool operator==(const handler& a, disposition b) noexcept
    {
        return a.kind_ == handler(b).kind_;
    }

private:
    friend class detail::registry;
    [[nodiscard]] static bool equal(const handler& a, const handler& b) noexcept;

    kind kind_ = kind::default_action;
    std::shared_ptr<detail::callable_base> callable_; // set for kinds callable and foreign
};

[[nodiscard]] TOCSIN_API std::string to_string(handler_kind what);
TOCSIN_API std::ostream& operator<<(std::ostream& out, handler_kind what);
[[nodiscard]] TOCSIN_API std::string to_string(const handler& what);
TOCSIN_API std::ostream& operator<<(std::ostream& out, const handler& what);

} // namespace tocsin
