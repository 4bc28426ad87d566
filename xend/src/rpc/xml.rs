//! The XML of XML-RPC. What is decoded comes from anybody who can reach the socket.

use roxmltree::{Document, Node, ParsingOptions};

use super::value::{Call, Fault, Value};

/// Values may nest this deep; decoding recurses.
const MAX_DEPTH: u32 = 32;
/// No message of xend has anywhere near this many elements.
const MAX_NODES: u32 = 2_000_000;

type Decoded<T> = Result<T, String>;

/// A call as XML.
pub fn encode_call(call: &Call) -> String {
    let mut xml = String::from("<?xml version='1.0'?>\n<methodCall>\n<methodName>");
    escape(&call.method, &mut xml);
    xml.push_str("</methodName>\n<params>\n");
    for param in &call.params {
        xml.push_str("<param>\n");
        encode(param, &mut xml);
        xml.push_str("</param>\n");
    }
    xml.push_str("</params>\n</methodCall>\n");
    xml
}

/// An answer as XML.
pub fn encode_response(response: &Result<Value, Fault>) -> String {
    let mut xml = String::from("<?xml version='1.0'?>\n<methodResponse>\n");
    match response {
        Ok(value) => {
            xml.push_str("<params>\n<param>\n");
            encode(value, &mut xml);
            xml.push_str("</param>\n</params>\n");
        }
        Err(fault) => {
            let members = [
                ("faultCode".to_owned(), Value::Int(fault.code)),
                ("faultString".to_owned(), Value::Str(fault.message.clone())),
            ];
            xml.push_str("<fault>\n");
            encode(&Value::Struct(members.into()), &mut xml);
            xml.push_str("</fault>\n");
        }
    }
    xml.push_str("</methodResponse>\n");
    xml
}

fn encode(value: &Value, xml: &mut String) {
    xml.push_str("<value>");
    match value {
        Value::Nil => xml.push_str("<nil/>"),
        Value::Bool(truth) => element("boolean", if *truth { "1" } else { "0" }, xml),
        Value::Int(int) => {
            let name = if i32::try_from(*int).is_ok() { "int" } else { "i8" };
            element(name, &int.to_string(), xml);
        }
        Value::Double(number) => element("double", &number.to_string(), xml),
        Value::Str(text) => element("string", text, xml),
        Value::Array(members) => {
            xml.push_str("<array><data>\n");
            members.iter().for_each(|member| encode(member, xml));
            xml.push_str("</data></array>");
        }
        Value::Struct(members) => {
            xml.push_str("<struct>\n");
            for (name, member) in members {
                xml.push_str("<member>\n");
                element("name", name, xml);
                encode(member, xml);
                xml.push_str("</member>\n");
            }
            xml.push_str("</struct>");
        }
    }
    xml.push_str("</value>\n");
}

fn element(name: &str, text: &str, xml: &mut String) {
    xml.extend(["<", name, ">"]);
    escape(text, xml);
    xml.extend(["</", name, ">"]);
}

/// Characters that XML 1.0 can't carry, not even escaped, become U+FFFD: a console log has them.
fn escape(text: &str, xml: &mut String) {
    for char in text.chars() {
        match char {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            // A bare one would be read back as a line feed.
            '\r' => xml.push_str("&#13;"),
            '\t' | '\n' => xml.push(char),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            _ => xml.push(char),
        }
    }
}

/// Reads a call.
pub fn decode_call(xml: &str) -> Decoded<Call> {
    let document = parse(xml)?;
    let root = expect(document.root_element(), "methodCall")?;
    let method = child(root, "methodName")?.text().unwrap_or("").trim().to_owned();
    let params = match elements(root).find(|node| node.has_tag_name("params")) {
        Some(params) => elements(params).map(decode_param).collect::<Decoded<_>>()?,
        None => Vec::new(),
    };
    Ok(Call { method, params })
}

/// Reads an answer.
pub fn decode_response(xml: &str) -> Decoded<Result<Value, Fault>> {
    let document = parse(xml)?;
    let root = expect(document.root_element(), "methodResponse")?;
    let content = only_child(root)?;
    if content.has_tag_name("params") {
        return decode_param(only_child(content)?).map(Ok);
    }
    match decode_value(only_child(expect(content, "fault")?)?, 0)? {
        Value::Struct(members) => {
            let code = members.get("faultCode").and_then(Value::as_int);
            let message = members.get("faultString").and_then(Value::as_str);
            match (code, message) {
                (Some(code), Some(message)) => Ok(Err(Fault::new(code, message))),
                _ => Err("a fault has no faultCode or no faultString".to_owned()),
            }
        }
        _ => Err("a fault is no struct".to_owned()),
    }
}

fn parse(xml: &str) -> Decoded<Document<'_>> {
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(xml, options).map_err(|error| error.to_string())
}

fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

fn expect<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Decoded<Node<'a, 'i>> {
    if node.has_tag_name(name) {
        return Ok(node);
    }
    Err(format!("<{name}> should stand where <{}> stands", node.tag_name().name()))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Decoded<Node<'a, 'i>> {
    elements(node)
        .find(|node| node.has_tag_name(name))
        .ok_or_else(|| format!("<{}> has no <{name}>", node.tag_name().name()))
}

fn only_child<'a, 'i>(node: Node<'a, 'i>) -> Decoded<Node<'a, 'i>> {
    let mut elements = elements(node);
    match (elements.next(), elements.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(format!("<{}> must hold exactly one element", node.tag_name().name())),
    }
}

fn decode_param(node: Node<'_, '_>) -> Decoded<Value> {
    decode_value(only_child(expect(node, "param")?)?, 0)
}

fn decode_value(node: Node<'_, '_>, depth: u32) -> Decoded<Value> {
    expect(node, "value")?;
    if depth > MAX_DEPTH {
        return Err("values are nested too deep".to_owned());
    }
    let Some(typed) = elements(node).next() else {
        // Text without a type is a string.
        return Ok(Value::Str(text_of(node)));
    };
    let wrong = || format!("'{}' is no <{}>", text_of(typed), typed.tag_name().name());
    match typed.tag_name().name() {
        "nil" => Ok(Value::Nil),
        "string" => Ok(Value::Str(text_of(typed))),
        "boolean" => match text_of(typed).trim() {
            "1" => Ok(Value::Bool(true)),
            "0" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        "int" | "i4" | "i8" => text_of(typed).trim().parse().map(Value::Int).map_err(|_| wrong()),
        "double" => text_of(typed).trim().parse().map(Value::Double).map_err(|_| wrong()),
        "array" => {
            let members = elements(child(typed, "data")?);
            members
                .map(|member| decode_value(member, depth + 1))
                .collect::<Decoded<_>>()
                .map(Value::Array)
        }
        "struct" => {
            let member = |node| {
                let node = expect(node, "member")?;
                let name = text_of(child(node, "name")?);
                Ok((name, decode_value(child(node, "value")?, depth + 1)?))
            };
            elements(typed).map(member).collect::<Decoded<_>>().map(Value::Struct)
        }
        other => Err(format!("values of type <{other}> are not taken")),
    }
}

/// All text directly in `node`; comments may cut it into pieces.
fn text_of(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_call_as_pythons_client_writes_it() {
        let xml = "<?xml version='1.0'?>\n<methodCall>\n<methodName>xend.domains_with_state\
                   </methodName>\n<params>\n<param>\n<value><boolean>1</boolean></value>\n</param>\n\
                   <param>\n<value><string>all</string></value>\n</param>\n<param>\n\
                   <value><int>0</int></value>\n</param>\n<param><value>plain</value></param>\
                   </params>\n</methodCall>\n";
        let call = decode_call(xml).unwrap();
        assert_eq!(call.method, "xend.domains_with_state");
        assert_eq!(call.params, [true.into(), "all".into(), 0.into(), "plain".into()]);
    }

    #[test]
    fn hostile_documents_are_refused() {
        for xml in [
            "",
            "<methodCall/>",
            "<methodResponse/>",
            "<methodCall><methodName>x</methodName><params><param/></params></methodCall>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><methodCall><methodName>&b;</methodName></methodCall>",
        ] {
            assert!(decode_call(xml).is_err(), "{xml}");
        }
        let bad_value = |inner: &str| {
            decode_call(&format!(
                "<methodCall><methodName>x</methodName><params><param><value>{inner}</value>\
                 </param></params></methodCall>"
            ))
        };
        for inner in [
            "<int>x</int>",
            "<boolean>2</boolean>",
            "<base64>aa</base64>",
            "<array/>",
            "<struct><member><name>a</name></member></struct>",
        ] {
            assert!(bad_value(inner).is_err(), "{inner}");
        }
        let nest =
            |n: usize| "<array><data><value>".repeat(n) + &"</value></data></array>".repeat(n);
        assert!(bad_value(&nest(20)).is_ok());
        assert!(bad_value(&nest(100)).unwrap_err().contains("too deep"));
        assert!(bad_value(&nest(20_000)).is_err());
        assert!(decode_response("<methodResponse><fault/></methodResponse>").is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>()
                .prop_filter("NaN is not itself", |n| n.is_finite())
                .prop_map(Value::Double),
            "[\\t\\n\\r -\\u{d7ff}\\u{e000}-\\u{fffd}]*".prop_map(Value::Str),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map("[a-z<&]{0,5}", inner, 0..5).prop_map(Value::Struct),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(params in prop::collection::vec(any_value(), 0..4)) {
            let call = Call { method: "xend.domain.create".to_owned(), params: params.clone() };
            prop_assert_eq!(decode_call(&encode_call(&call)).unwrap(), call);
            for value in params {
                let response = Ok(value);
                prop_assert_eq!(decode_response(&encode_response(&response)).unwrap(), response);
            }
        }

        #[test]
        fn a_fault_keeps_code_and_text(code: i64, message in "[ -~]*") {
            let response = Err(Fault::new(code, message));
            prop_assert_eq!(decode_response(&encode_response(&response)).unwrap(), response);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|(</?(methodCall|value|param|array)>|[a-z&;])*") {
            let _ = decode_call(&text);
            let _ = decode_response(&text);
        }

        #[test]
        fn any_text_can_be_sent(text: String) {
            let back = decode_response(&encode_response(&Ok(Value::Str(text)))).unwrap();
            prop_assert!(matches!(back, Ok(Value::Str(_))));
        }
    }
}
