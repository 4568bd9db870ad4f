// What a Relay app would have in its components; relay-compiler reads it, nobody runs it.
import { graphql } from "relay-runtime";

graphql`
  query appMessagesQuery($with: ID!) {
    messages(with: $with, last: 5) {
      edges {
        node {
          content
          createdAt
          sender {
            displayName
            createdAt
          }
          ...app_message
        }
      }
    }
  }
`;

graphql`
  fragment app_message on Message {
    kind
    createdAt
  }
`;

graphql`
  mutation appSendMutation($to: ID!, $content: String!) {
    sendMessage(receiverId: $to, content: $content) {
      content
      createdAt
      sender {
        createdAt
      }
    }
  }
`;

graphql`
  query appNodeQuery($id: ID!) {
    node(id: $id) {
      __typename
      ... on User {
        displayName
      }
      ... on Message {
        content
      }
    }
  }
`;
